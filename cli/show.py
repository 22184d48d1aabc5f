"""How commands print what they found: a table for people, JSON for programs; both to standard output."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # ECMA-48, C0 and C1, but for the end of a line

PIPE_WIDTH = 1_000
"""Wider than any row; a table takes only what it needs of it."""


def print_json(document: Any) -> None:
    """Print one JSON document in one line; of a list of rows, call it for each."""
    sys.stdout.write(json_text(document) + "\n")
    sys.stdout.flush()


def json_text(document: Any, indent: int | None = None) -> str:
    """Write JSON that says the same to a program and commands no terminal: JSON itself escapes only C0."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def with_examples(commands: Iterable[str]) -> str:
    """Return the end of a command's help: each example in a line of its own."""
    return "\n\n".join(["Examples:", *(command.replace("[", r"\[") for command in commands)])


def console() -> "Console":
    """Return standard output for rich; into a pipe or a file nothing is folded: the next program reads lines."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table, a cell empty where a row has nothing."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(column))) for column in columns))
    console().print(table)


def cell(value: Any) -> str:
    """Print a value as people read it."""
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def printable(text: str) -> str:
    """Show what would command the terminal: senders and endpoints choose much of what is printed here."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def all_printable(document: Any) -> Any:
    """Return a document with `printable` texts."""
    if isinstance(document, str):
        return printable(document)
    if isinstance(document, list):
        return [all_printable(item) for item in document]
    return {name: all_printable(item) for name, item in document.items()} if isinstance(document, dict) else document
