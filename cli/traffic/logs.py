"""`hooklog events | deliveries | attempts | rejections | operations`: what happened, newest first, or one life."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.durations import moment
from cli.environment import read_settings
from cli.exits import refuse
from cli.gateway import Gateway
from cli.show import print_json, print_table

EVENT_EXAMPLES = (
    "hooklog events --topic orders --since 1h",
    "hooklog events --field /order/id=42 --text refund",
    "hooklog events 01M80QK7NHKW4FFQZ5T9BTJRYB",
)
DELIVERY_EXAMPLES = ("hooklog deliveries --status failed --since 1d", "hooklog deliveries --event 01M80QK7N… --json")
ATTEMPT_EXAMPLES = ("hooklog attempts --subscription billing --status retrying",)
REJECTION_EXAMPLES = ("hooklog rejections --source github --since 1h",)
OPERATION_EXAMPLES = ("hooklog operations --since 7d", "hooklog operations --kind dead_letter --subscription billing")

MAX_ROWS = 100_000
"""Beyond it `hooklog sql` is the tool."""

DELIVERY_STATES = ("PENDING", "RETRYING", "SUCCESS", "FAILED", "CANCELLED")
ATTEMPT_STATES = ("SUCCESS", "RETRYING", "FAILED", "CANCELLED")
EVENT_STATES = ("RECEIVED", "QUEUED")

EVENT_COLUMNS = ("received_at", "event_id", "topic_id", "source_id", "event_type", "status", "payload_bytes")
DELIVERY_COLUMNS = (
    *("created_at", "delivery_id", "event_id", "subscription_id", "event_type", "status", "attempts"),
    *("last_status_code", "reason", "next_attempt_at"),
)
ATTEMPT_COLUMNS = (
    *("started_at", "event_id", "subscription_id", "attempt", "status", "response_status_code", "error"),
    *("duration_ms", "next_attempt_at"),
)
OPERATION_COLUMNS = ("at", "kind", "subject_kind", "subject_id", "message")
REJECTION_COLUMNS = ("received_at", "rejection_id", "topic_id", "source_id", "code", "reason", "source_ip")

Since = Annotated[
    str | None, typer.Option(parser=moment, metavar="TIME", help="From when on: 1h, 7d, or 2026-01-02T03:04:05Z.")
]
Until = Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help="Until when, likewise.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="How many at most, newest first.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Topic = Annotated[str | None, typer.Option(help="Of this topic only.")]
Source = Annotated[str | None, typer.Option(help="Of this source only.")]
Subscription = Annotated[str | None, typer.Option(help="Of this subscription only.")]
Event = Annotated[str | None, typer.Option(help="Of this event only.")]
EventType = Annotated[str | None, typer.Option("--type", help="Of this event type only.")]
Statuses = Annotated[list[str] | None, typer.Option(help="In this state only; may be repeated.")]
Texts = Annotated[
    list[str] | None, typer.Option("--text", help="In the payload, or the answer, as whole words; may be repeated.")
]
Fields = Annotated[
    list[str] | None, typer.Option("--field", help="Of a JSON payload, such as /order/id=42; may be repeated.")
]
Status = Annotated[str | None, typer.Option(help="In this state only.")]


def events(
    *,
    event_id: Annotated[str | None, typer.Argument(help="Show the whole life of this event.")] = None,
    topic: Topic = None,
    source: Source = None,
    event_type: EventType = None,
    status: Status = None,
    text: Texts = None,
    field: Fields = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List accepted events, or tell the whole life of one: where it went, and every attempt."""
    gateway = Gateway(read_settings())
    if event_id:
        _story(gateway, event_id, as_json)
        return
    filters: dict[str, Any] = {"topic_id": topic, "source_id": source, "event_type": event_type}
    filters |= {"text": text, "field": field}
    filters |= {"status": one_of(EVENT_STATES, status), "since": since, "until": until}
    _list(gateway, "events", filters, (limit, EVENT_COLUMNS, as_json))


def deliveries(
    *,
    delivery_id: Annotated[str | None, typer.Argument(help="Show this delivery with its attempts.")] = None,
    status: Statuses = None,
    subscription: Subscription = None,
    topic: Topic = None,
    event: Event = None,
    event_type: EventType = None,
    reason: Annotated[str | None, typer.Option(help="With this reason only, such as http_500.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List deliveries, or show one with its attempts."""
    gateway = Gateway(read_settings())
    if delivery_id:
        _delivery(gateway, delivery_id, as_json)
        return
    filters = delivery_filters(status, subscription, topic, event) | {"event_type": event_type, "reason": reason}
    _list(gateway, "deliveries", filters | {"since": since, "until": until}, (limit, DELIVERY_COLUMNS, as_json))


def attempts(
    *,
    event: Event = None,
    delivery: Annotated[str | None, typer.Option(help="Of this delivery only.")] = None,
    subscription: Subscription = None,
    status: Status = None,
    text: Texts = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List attempts: one row for each request that was made."""
    filters: dict[str, Any] = {"event_id": event, "delivery_id": delivery, "subscription_id": subscription}
    filters |= {"text": text}
    filters |= {"status": one_of(ATTEMPT_STATES, status), "since": since, "until": until}
    _list(Gateway(read_settings()), "attempts", filters, (limit, ATTEMPT_COLUMNS, as_json))


def rejections(
    *,
    source: Source = None,
    topic: Topic = None,
    code: Annotated[str | None, typer.Option(help="With this code only, such as signature_mismatch.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List refused requests, and why each was refused."""
    filters = {"source_id": source, "topic_id": topic, "code": code, "since": since, "until": until}
    _list(Gateway(read_settings()), "rejections", filters, (limit, REJECTION_COLUMNS, as_json))


def operations(
    *,
    kind: Annotated[str | None, typer.Option(help="Of this kind only, such as dead_letter.")] = None,
    subject: Annotated[str | None, typer.Option(help="About the record or stream of this id only.")] = None,
    subscription: Subscription = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what happened to Hooklog itself: dead letters, refused records, breakers, disabled subscriptions."""
    filters = {"kind": kind, "subject_id": subject, "subscription_id": subscription, "since": since, "until": until}
    _list(Gateway(read_settings()), "operations", filters, (limit, OPERATION_COLUMNS, as_json))


def delivery_filters(
    statuses: list[str] | None, subscription: str | None, topic: str | None, event: str | None
) -> dict[str, Any]:
    """Return the query parameters that choose deliveries."""
    chosen = [one_of(DELIVERY_STATES, status) for status in statuses or []]
    return {"status": chosen or None, "subscription_id": subscription, "topic_id": topic, "event_id": event}


def one_of(states: tuple[str, ...], text: str | None) -> str | None:
    """Return the state in capitals; ends the command when there is no such state."""
    if text is None:
        return None
    if text.upper() not in states:
        refuse(f"{text!r} is no state; there are {', '.join(states).lower()}")
    return text.upper()


def _list(gateway: Gateway, kind: str, filters: dict[str, Any], shown: tuple[int, tuple[str, ...], bool]) -> None:
    limit, columns, as_json = shown
    rows = gateway.rows("query", f"/api/v1/logs/{kind}", {**filters, "order": "desc"}, limit)
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table(rows, columns)


def _story(gateway: Gateway, event_id: str, as_json: bool) -> None:
    from cli.traffic.life import print_life

    story = gateway.call("query", "GET", f"/api/v1/logs/events/{quote(event_id, safe='')}").json()
    if as_json:
        print_json(story)
    else:
        print_life(story)


def _delivery(gateway: Gateway, delivery_id: str, as_json: bool) -> None:
    delivery = gateway.call("query", "GET", f"/api/v1/logs/deliveries/{quote(delivery_id, safe='')}").json()
    if as_json:
        print_json(delivery)
        return
    from cli.traffic.life import print_delivery

    print_delivery(delivery)
