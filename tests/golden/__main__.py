"""Adds a golden file for each case that the newest file no longer holds: `python -m tests.golden`."""

from tests.golden.codecs import ALL, FOLDER, files_of, to_text


def main() -> None:
    """Writes new files only; a golden file is never changed."""
    for name, (codec, item) in ALL.items():
        text = to_text(codec.write(item))
        files = files_of(name)
        if not files or files[-1].read_text() != text:
            suffix = f".{len(files) + 1}" if files else ""
            (FOLDER / f"{name}{suffix}.json").write_text(text)


main()
