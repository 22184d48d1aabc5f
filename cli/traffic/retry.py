"""`hooklog retry`: makes deliveries again, by id or all that match."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.environment import read_settings
from cli.exits import FAILED, OK, fail, refuse
from cli.gateway import Gateway, complaint
from cli.show import print_json, print_table
from cli.traffic.logs import DELIVERY_COLUMNS, Since, Statuses, Subscription, Topic, Until, delivery_filters

EXAMPLES = (
    "hooklog retry 5f0c1e6d2b7a4c3f9e8d7c6b5a493827",
    "hooklog retry --status failed --subscription billing --since 1d --dry-run",
)
MAX_RETRIES = 10_000
"""In one go: all ids are known before the first is sent again, so that nobody chases the deliveries it makes."""

MAX_TOLD = 5
"""Failures shown in full; the rest is counted."""


def retry(
    *,
    delivery_ids: Annotated[list[str] | None, typer.Argument(help="Deliveries to make again.")] = None,
    status: Statuses = None,
    subscription: Subscription = None,
    topic: Topic = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be sent again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, one a delivery.")] = False,
) -> None:
    """Send deliveries again: those named, or all that match (exit code 0 when each was taken).

    Each is a new delivery with the same webhook-id; the old one stays as it is.
    """
    chosen = delivery_filters(status, subscription, topic, None) | {"since": since, "until": until}
    if bool(delivery_ids) == any(chosen.values()):
        refuse("name deliveries, or say which with --status, --subscription, --topic, --since, --until")
    gateway = Gateway(read_settings())
    rows = [{"delivery_id": delivery_id} for delivery_id in delivery_ids or []] or _matching(gateway, chosen)
    if dry_run:
        _show(rows, as_json)
        raise SystemExit(OK)
    if not delivery_ids and rows:
        _confirm(len(rows), yes)
    failed = _retry_each(gateway, [row["delivery_id"] for row in rows], as_json)
    if not as_json:
        typer.echo(f"{len(rows) - failed} of {len(rows)} deliveries are on their way again")
    raise SystemExit(FAILED if failed else OK)


def _matching(gateway: Gateway, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    rows = list(gateway.rows("query", "/api/v1/logs/deliveries", {**chosen, "order": "asc"}, MAX_RETRIES + 1))
    if len(rows) > MAX_RETRIES:
        fail(f"more than {MAX_RETRIES} deliveries match: narrow it with --since and --until")
    return rows


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table(rows, DELIVERY_COLUMNS if len(rows[0:1] and rows[0]) > 1 else ("delivery_id",))
    typer.echo(f"{len(rows)} deliveries would be sent again")


def _confirm(number: int, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        refuse(f"{number} deliveries match: say --yes to send them again, or --dry-run to see them")
    if not typer.confirm(f"Send {number} deliveries again?", err=True):
        fail("nothing was sent")


def _retry_each(gateway: Gateway, delivery_ids: list[str], as_json: bool) -> int:
    """Ask for each; returns how many were refused."""
    from rich.console import Console
    from rich.progress import track

    failed = 0
    console = Console(stderr=True)
    quiet = as_json or not console.is_terminal or len(delivery_ids) == 1
    for delivery_id in track(delivery_ids, "retrying", console=console, transient=True, disable=quiet):
        answer = gateway.call(
            "query", "POST", f"/api/v1/deliveries/{quote(delivery_id, safe='')}/retry", allow=range(400, 600)
        )
        if as_json:
            print_json({"retried": delivery_id, "ok": answer.is_success, **_document(answer)})
        if not answer.is_success:
            failed += 1
            if failed <= MAX_TOLD and not as_json:
                typer.echo(f"{delivery_id}: {complaint(answer)}", err=True)
    return failed


def _document(answer: Any) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    return document if isinstance(document, dict) else {}
