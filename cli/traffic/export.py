"""`hooklog export`: a whole list, as CSV or as one JSON object a line."""

import sys
from typing import Annotated, Any, Literal

import typer

from cli.durations import moment
from cli.environment import read_settings
from cli.exits import refuse
from cli.gateway import Gateway

EXAMPLES = (
    "hooklog export attempts --format csv --since 7d > attempts.csv",
    "hooklog export events --where topic_id=orders --where payload=true",
)


def export(
    *,
    what: Annotated[
        Literal["events", "deliveries", "attempts", "rejections", "operations"], typer.Argument(help="Which list.")
    ],
    form: Annotated[Literal["csv", "ndjson"], typer.Option("--format", help="How rows are written.")] = "ndjson",
    since: Annotated[
        str | None, typer.Option(parser=moment, metavar="TIME", help="From when on: 1h, 7d, or 2026-01-02T03:04:05Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help="Until when, likewise.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the list; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many at most; else all.")] = None,
) -> None:
    """Write every row of a list to standard output, however many there are."""
    params: dict[str, Any] = {"format": form, "since": since, "until": until, "limit": limit}
    for condition in where or []:
        name, equals, value = condition.partition("=")
        if not equals:
            refuse(f"{condition!r} is not NAME=VALUE")
        params[name] = [*params.get(name, []), value] if isinstance(params.get(name, []), list) else value
    for chunk in Gateway(read_settings()).chunks("query", f"/api/v1/logs/{what}", params):
        sys.stdout.buffer.write(chunk)
    sys.stdout.flush()
