"""`hooklog sql`: asks the tables."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.environment import read_settings
from cli.exits import refuse
from cli.gateway import Gateway
from cli.show import cell, console, printable

EXAMPLES = (
    'hooklog sql "SELECT status, count() FROM deliveries FINAL GROUP BY status"',
    'hooklog sql --param since=2026-11-01 "SELECT count() FROM events WHERE received_at > {since:Date}"',
    "hooklog sql -f report.sql --format csv > report.csv",
)


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def sql(
    query: Annotated[str | None, typer.Argument(help="The query; - or nothing reads standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the query from a file.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--param", help="NAME=VALUE of {NAME:Type} in the query; may be repeated.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="json prints one object a row.")] = Format.TABLE,
) -> None:
    """Ask the tables in SQL (ClickHouse's dialect, read-only): SELECT count() FROM attempts."""
    document = {"query": _query(query, file), "format": output.value, "parameters": _parameters(values or [])}
    answer = Gateway(read_settings()).call("query", "POST", "/api/v1/sql", document=document)
    if output is Format.TABLE:
        _show(answer.json())
    else:
        sys.stdout.write(printable(answer.text) if sys.stdout.isatty() else answer.text)


def _query(query: str | None, file: Path | None) -> str:
    if query not in {None, "-"} and file is not None:
        refuse("give a query or --file, not both")
    try:
        text = query if query not in {None, "-"} else file.read_text() if file else _standard_input()
    except (OSError, UnicodeDecodeError) as error:
        refuse(error)
    if not (text or "").strip():
        refuse('there is no query, such as: hooklog sql "SELECT count() FROM events"')
    return text or ""


def _parameters(values: list[str]) -> dict[str, str]:
    parameters = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            refuse(f"--param {text} is not NAME=VALUE")
        parameters[name] = value
    return parameters


def _standard_input() -> str:
    return "" if sys.stdin.isatty() else sys.stdin.read()


def _show(document: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    for column in document["meta"]:
        numeric = column["type"].startswith(("Int", "UInt", "Float", "Decimal"))
        table.add_column(Text(column["name"]), justify="right" if numeric else "left", overflow="fold")
    for row in document["data"]:
        table.add_row(*(Text(cell(value)) for value in row))
    shown = console()
    shown.print(table)
    shown.print(f"{document['rows']} rows, {document['statistics']['elapsed']:.3f} s", style="dim")
