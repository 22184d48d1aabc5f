"""`hooklog replay` and `hooklog replays`: deliver events again in bulk, at a pace, and see how far that is."""

import time
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import typer

from cli.ask import confirm
from cli.environment import read_settings
from cli.exits import FAILED, OK, refuse
from cli.gateway import Gateway
from cli.show import console, print_json, print_table
from cli.traffic.logs import AsJson, Limit, Since, Source, Statuses, Topic, Until, one_of
from cli.traffic.replay_preview import show_preview

EXAMPLES = (
    "hooklog replay --subscription billing --status failed --since 1d --follow",
    "hooklog replay --topic orders --since 7d --to analytics --rate 100 --dry-run",
    "hooklog replay --topic orders --mode all --to analytics --where 'event.total > 100' --since 30d --yes",
    "hooklog replay --event 01M80QK7NHKW4FFQZ5T9BTJRYB --to analytics --new-id",
)
LIST_EXAMPLES = ("hooklog replays --since 7d", "hooklog replays 01KE0R7V0C7W6F9E2M4S8T1A5D --follow")

COLUMNS = ("created_at", "replay_id", "state", "progress", "total", "sent", "skipped", "rate_per_s")
MODES = ("FAILED", "MISSING", "ALL")
ENDED = ("FAILED", "CANCELLED")
STATES = ("PENDING", "RUNNING", "DONE", "CANCELLED")

POLL_S = 0.5
PATH = "/api/v1/replays"

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show how far it is until it has ended.")]


def replay(
    *,
    event: Annotated[list[str] | None, typer.Option(help="This event; may be repeated.")] = None,
    subscription: Annotated[str | None, typer.Option(help="What this subscription's deliveries were for.")] = None,
    to: Annotated[str | None, typer.Option(help="Send it to this subscription, also a new one.")] = None,
    topic: Topic = None,
    source: Source = None,
    event_type: Annotated[list[str] | None, typer.Option("--type", help="This type, or order.*; repeatable.")] = None,
    status: Statuses = None,
    mode: Annotated[str | None, typer.Option(help="failed, missing (at --to), or all.")] = None,
    where: Annotated[str | None, typer.Option(metavar="CEL", help="Only where it is true, as a filter.")] = None,
    since: Since = None,
    until: Until = None,
    rate: Annotated[int, typer.Option(min=1, max=1_000, help="How many a second at most.")] = 50,
    new_id: Annotated[bool, typer.Option("--new-id", help="Give receivers a new webhook-id.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    key: Annotated[str | None, typer.Option(help="Idempotency key: again within a day is the same one.")] = None,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Deliver events again, at a pace: those that failed, those that a new subscription missed, or all.

    Without --mode it is all with --event, missing with --to alone, else failed. It says first how many, to whom and of
    which time, and asks. It goes on in the background, also after a restart; `hooklog replays` shows how far it is.
    """
    asked: dict[str, Any] = {"event_ids": event, "subscription_id": subscription, "to": to, "event_types": event_type}
    asked |= {"topic_id": topic, "source_id": source, "since": since, "until": until, "where": where}
    asked["status"] = [one_of(ENDED, text) for text in status or []]
    asked["mode"] = (one_of(MODES, mode) or "").lower()
    chosen = {name: value for name, value in asked.items() if value}
    if chosen.keys() <= {"where"}:
        refuse("say which: --event, --subscription, --to, --topic, --source, --type or --since")
    _replay(chosen | {"rate_per_s": rate, "new_id": new_id}, _How(dry_run, yes, key, follow, as_json))


class _How(NamedTuple):
    dry_run: bool
    yes: bool
    key: str | None
    follow: bool
    as_json: bool


def _replay(document: dict[str, Any], how: _How) -> None:
    gateway = Gateway(read_settings())
    if (how.dry_run or not how.yes) and not _agreed(gateway, document, dry_run=how.dry_run, as_json=how.as_json):
        return
    # With a key of its own, so that a proxy that repeats the request starts no second one.
    headers = {"Idempotency-Key": how.key or uuid4().hex}
    made = gateway.call("query", "POST", PATH, document=document, headers=headers).json()
    if how.follow:
        _follow(gateway, made["replay_id"], how.as_json)
    elif how.as_json:
        print_json(made)
    else:
        typer.echo(f"replay {made['replay_id']} sends {made['total']} events, {made['rate_per_s']} a second at most")


def _agreed(gateway: Gateway, document: dict[str, Any], *, dry_run: bool, as_json: bool) -> bool:
    """Show what would be sent, and ask; whether there is something to send."""
    counted = gateway.call("query", "POST", PATH, document=document | {"dry_run": True}).json()
    show_preview(counted, as_json=as_json)
    if dry_run or not counted["total"]:
        return False
    confirm("Send them again?", yes=False)
    return True


def replays(
    *,
    replay_id: Annotated[str | None, typer.Argument(help="Show this replay.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End it: what it has not sent is not sent.")] = False,
    state: Annotated[str | None, typer.Option(help="In this state only.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """List replays and how far they are, or show, follow or cancel one."""
    gateway = Gateway(read_settings())
    if replay_id is None:
        if cancel or follow:
            refuse("name the replay")
        params = {"state": one_of(STATES, state), "since": since, "until": until, "order": "desc"}
        _print(list(gateway.rows("query", "/api/v1/replays", params, limit)), as_json)
        return
    path = f"/api/v1/replays/{quote(replay_id, safe='')}"
    if cancel:
        gateway.call("query", "POST", f"{path}/cancel")
    if cancel or follow:
        _follow(gateway, replay_id, as_json)
    else:
        _print([gateway.call("query", "GET", path).json()], as_json)


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table([row | {"progress": f"{row['progress']:.0%}"} for row in rows], COLUMNS)


def _follow(gateway: Gateway, replay_id: str, as_json: bool) -> None:
    """Shows a bar on a terminal, and at the end what became of it; exit code 1 when it was cancelled."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console()
    with Progress(*columns, console=shown, transient=True, disable=as_json or not shown.is_terminal) as progress:
        bar = progress.add_task("replay", total=None)
        while True:
            document = gateway.call("query", "GET", f"/api/v1/replays/{quote(replay_id, safe='')}").json()
            handled = document["sent"] + sum(document["skipped"].values())
            progress.update(bar, total=document["total"], completed=handled)
            if document["state"] in {"DONE", "CANCELLED"}:
                break
            time.sleep(POLL_S)
    if as_json:
        print_json(document)
    else:
        skipped = "".join(f", {number} skipped: {reason}" for reason, number in document["skipped"].items())
        typer.echo(f"{document['state']}: {document['sent']} of {document['total']} sent{skipped}")
    raise SystemExit(OK if document["state"] == "DONE" else FAILED)
