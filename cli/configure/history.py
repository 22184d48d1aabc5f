"""`hooklog config`: the configuration as of any time, what changed between two, and the history of a record."""

import sys
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from cli.configure import options
from cli.durations import moment
from cli.show import cell, print_json, print_table, printable, with_examples

PATH = "/api/v1/config"
SHOW_COLUMNS = ("kind", "id", "version", "updated_at", "updated_by")
SIGNS = {"created": "+", "updated": "~", "deleted": "-", "nothing": "="}

Kind = Literal["sources", "topics", "subscriptions"]
OfKind = Annotated[Kind | None, typer.Option(help="Of this kind only.")]
OfId = Annotated[str | None, typer.Option("--id", help="Of this id only.")]
Time = Annotated[str, typer.Argument(parser=moment, metavar="FROM", help="1h (ago), 7d, or 2026-01-02T03:04:05Z.")]

app = typer.Typer(name="config", help="The configuration as it was, and who changed what.", no_args_is_help=True)


SHOW_EXAMPLES = ("hooklog config show --at 2d --kind topics", "hooklog config show --id billing --json")
DIFF_EXAMPLES = ("hooklog config diff 7d", "hooklog config diff 2026-01-01T00:00:00Z 1h --kind topics")


@app.command(epilog=with_examples(SHOW_EXAMPLES))
def show(
    at: Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help="As of then; without it now.")] = None,
    kind: OfKind = None,
    record_id: OfId = None,
    as_json: options.AsJson = False,
) -> None:
    """List what was in force at a time; --json shows the records, secrets masked."""
    rows = _rows(PATH, {"at": at, "kind": kind, "id": record_id})
    if not as_json:
        print_table(rows, SHOW_COLUMNS)
        return
    for row in rows:
        print_json(row)


@app.command(epilog=with_examples(DIFF_EXAMPLES))
def diff(
    since: Time,
    until: Annotated[str | None, typer.Argument(parser=moment, metavar="TO", help="Likewise; without it now.")] = None,
    kind: OfKind = None,
    record_id: OfId = None,
    as_json: options.AsJson = False,
) -> None:
    """Show what is not the same at two times, field by field, and who changed it last."""
    for row in _rows(f"{PATH}/diff", {"from": since, "to": until, "kind": kind, "id": record_id}):
        if as_json:
            print_json(row)
        else:
            _print_change(f"{row['kind']}/{row['id']}", row, row["updated_at"])


@app.command(epilog=with_examples(["hooklog config history subscriptions billing"]))
def history(
    kind: Annotated[Kind, typer.Argument(help="sources, topics or subscriptions.")],
    record_id: options.Id,
    limit: options.Limit = None,
    as_json: options.AsJson = False,
) -> None:
    """Show every change of a record, and every one that was refused, newest first."""
    for row in _rows(f"{PATH}/{kind}/{quote(record_id, safe='')}/history", {}, limit):
        if as_json:
            print_json(row)
        else:
            version = f"refused: {row['code']}: {row['reason']}" if row["code"] else f"version {row['version']}"
            _print_change(version, row, row["at"])


def _rows(path: str, params: dict[str, Any], limit: int | None = None) -> Any:
    from cli.environment import read_settings
    from cli.gateway import Gateway

    return Gateway(read_settings()).rows("query", path, params, limit or sys.maxsize)


def _print_change(name: str, row: dict[str, Any], at: str) -> None:
    by = f" by {row['updated_by']}" if row["updated_by"] else ""
    sys.stdout.write(printable(f"{SIGNS[row['action']]} {name}  {at}{by}\n"))
    for change in row["changes"]:
        sys.stdout.write(
            f"    {printable(change['pointer'])}: {_value(change['before'])} → {_value(change['after'])}\n"
        )


def _value(value: Any) -> str:
    return "(none)" if value is None else cell(value)
