"""`hooklog sql`: asks the tables."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.environment import read_settings
from cli.exits import fail, refuse

if TYPE_CHECKING:
    import httpx

    from runtime.settings import Settings

TIMEOUT_S = 30.0
"""Longer than a query may take, so that its own error arrives."""


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
    answer = _ask(read_settings(), text, output)
    if not answer.is_success:
        fail(_complaint(answer))
    if output is Format.TABLE:
        _show(answer.json())
    else:
        sys.stdout.write(answer.text)


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


def _ask(settings: "Settings", query: str, output: Format) -> "httpx.Response":
    import httpx

    from runtime.secrets_files import SetSecretError, load_admin_key

    url = f"http://{settings.host}:{settings.query_port}"
    try:
        headers = {"Authorization": f"Bearer {load_admin_key(settings)}"}
        return httpx.post(
            f"{url}/api/v1/sql",
            json={"query": query, "format": output.value},
            headers=headers,
            timeout=TIMEOUT_S,
            trust_env=False,  # a proxy has no business between a laptop and itself
        )
    except SetSecretError as error:
        refuse(error)
    except httpx.TransportError as error:
        fail(f"nothing answers at {url} ({error or type(error).__name__}); is `hooklog up` running?")


def _complaint(answer: "httpx.Response") -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return f"HTTP {answer.status_code} from {answer.url}"


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    for column in document["meta"]:
        numeric = column["type"].startswith(("Int", "UInt", "Float", "Decimal"))
        table.add_column(Text(column["name"]), justify="right" if numeric else "left", overflow="fold")
    for row in document["data"]:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console()
    console.print(table)
    console.print(f"{document['rows']} rows, {document['statistics']['elapsed']:.3f} s", style="dim")


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
