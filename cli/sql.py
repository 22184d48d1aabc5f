"""`hooklog sql`: asks the tables."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.environment import read_settings
from cli.exits import refuse
from cli.gateway import Gateway
from cli.show import cell, printable


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def sql(
    query: Annotated[str | None, typer.Argument(help="The query; - or nothing reads standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the query from a file.")] = None,
    output: Annotated[Format, typer.Option("--format", help="json prints one object a row.")] = Format.TABLE,
) -> None:
    """Ask the tables in SQL (ClickHouse's dialect, read-only): SELECT count() FROM attempts."""
    text = _query(query, file)
    document = {"query": text, "format": output.value}
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
    except OSError as error:
        refuse(error)
    if not (text or "").strip():
        refuse('there is no query, such as: hooklog sql "SELECT count() FROM events"')
    return text or ""


def _standard_input() -> str:
    return "" if sys.stdin.isatty() else sys.stdin.read()


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    for column in document["meta"]:
        numeric = column["type"].startswith(("Int", "UInt", "Float", "Decimal"))
        table.add_column(Text(column["name"]), justify="right" if numeric else "left", overflow="fold")
    for row in document["data"]:
        table.add_row(*(Text(cell(value)) for value in row))
    console = Console()
    console.print(table)
    console.print(f"{document['rows']} rows, {document['statistics']['elapsed']:.3f} s", style="dim")
