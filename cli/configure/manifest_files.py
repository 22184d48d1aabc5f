"""Finds the files of a folder that are meant: YAML and JSON, everything else is named and left aside."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = {".yaml", ".yml", ".json"}

MAX_FILE_BYTES = 4_194_304
"""4 MiB: some ten thousand records; more than that is not a file that people read."""

MAX_FILES = 10_000
STDIN = "-"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that was read: its name as it was asked for, and its text."""

    name: str
    text: str


class UnusableFileError(ValueError):
    """A file cannot be read as text: the message names it."""


def read_files(paths: Sequence[Path]) -> tuple[list[TextFile], list[str]]:
    """The files in the order of their names, and the names of those that are neither YAML nor JSON.

    Args:
        paths: files, folders (read with all folders in them; hidden ones are not), or `-` for standard input.

    Raises:
        UnusableFileError: one does not exist, is too large or is no text.
    """
    found = [file for path in paths for file in _files(path)]
    if len(found) > MAX_FILES:
        raise UnusableFileError(f"more than {MAX_FILES} files")
    chosen = [file for file in found if str(file) == STDIN or file in paths or file.suffix.lower() in SUFFIXES]
    left = [str(file) for file in found if file not in chosen]
    return [TextFile("standard input" if str(file) == STDIN else str(file), read_text(file)) for file in chosen], left


def read_text(file: Path) -> str:
    """The text of a file, or of standard input.

    Raises:
        UnusableFileError: it cannot be read, is too large or is no text.
    """
    try:
        if str(file) == STDIN:
            raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with file.open("rb") as stream:
                raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnusableFileError(f"{file}: {error.strerror or error}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise UnusableFileError(f"{file}: is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UnusableFileError(f"{file}: is no UTF-8 text")
    return text


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts):
            yield file
