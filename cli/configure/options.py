"""Options that mean the same on every command."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object, or one a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="How many at most; all, unless it is given.")]
Search = Annotated[str | None, typer.Option("--search", "-q", help="What stands in the id or the name.")]
Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", show_default=False)]
IfVersion = Annotated[int | None, typer.Option("--if-version", min=0, help="Only if it has this version.")]
CreateOnly = Annotated[bool, typer.Option("--create-only", help="Fail when there is one already.")]
Cascade = Annotated[
    bool, typer.Option("--cascade/--no-cascade", help="Delete what refers to it, too; otherwise that stops it.")
]
RecordFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="YAML or JSON with more fields; - reads standard input.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any other field; may be repeated. The value is JSON, or text."),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option("--secret", help="May be repeated for a rotation; other users of the machine see it."),
]
SecretFile = Annotated[
    Path | None, typer.Option("--secret-file", help="Read the secret from a file; - reads standard input.")
]
Changes = Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", show_default=False)]


def chosen(**fields: object) -> dict[str, object]:
    """The fields whose options were given."""
    return {name: value for name, value in fields.items() if value is not None and value != []}


def secret_fields(secrets: list[str] | None, file: Path | None) -> dict[str, object]:
    """`secret`, or `secrets` when there are several."""
    from cli.configure.manifest_files import UnusableFileError, read_text
    from cli.exits import refuse

    try:
        found = [*(secrets or []), *([read_text(file).rstrip("\r\n")] if file else [])]
    except UnusableFileError as error:
        refuse(error)
    if len(found) > 1:
        return {"secrets": found}
    return {"secret": found[0]} if found else {}
