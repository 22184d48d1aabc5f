"""What a replay would send, as `hooklog replay` shows it before it asks."""

from typing import Any

import typer

from cli.show import print_json, print_table, printable

MEANINGS = {
    "event_unknown": "the tables do not have the event (any more)",
    "payload_expired": "the payload is not kept any more",
}


def show_preview(counted: dict[str, Any], *, as_json: bool) -> None:
    """Print how many deliveries, to whom, of which time, and what cannot be had."""
    if as_json:
        print_json(counted)
        return
    rows = [{"subscription": name, "deliveries": number} for name, number in counted["subscriptions"].items()]
    print_table(rows, ("subscription", "deliveries"))
    for line in lines_of(counted):
        typer.echo(printable(line))


def lines_of(counted: dict[str, Any]) -> list[str]:
    """The rest of it, for people."""
    total, events, mode = counted["total"], counted["events"], counted["mode"]
    lines = [f"{total} deliveries would be made again, of {events} events (mode {mode})"]
    if counted["first"]:
        lines.append(f"accepted from {counted['first']} to {counted['last']}")
    if where := counted["where"]:
        lines.append(f"where holds for {where['held']} of {where['looked_at']} events")
    if where and where["failed"]:
        lines.append(f"where fails for {where['failed']}, which are left out, such as {where['failed_example']}")
    if counted["from_tables"]:
        lines.append(f"{counted['from_tables']} come from the tables, because Kafka does not keep them long enough")
    for reason, count in counted["unavailable"].items():
        lines.append(f"{count} cannot be made, {reason}: {MEANINGS.get(reason, reason)}")
    if counted["unavailable_events"]:
        lines.append(f"  such as {', '.join(counted['unavailable_events'])}")
    return lines
