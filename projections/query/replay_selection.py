"""Finds the events of a replay, and where they stand in the stream, by partition and offset.

An event that the events table does not have is found all the same when its delivery is there: it is counted, not
passed over. What senders repeated was not delivered the first time, so no mode selects it.
"""

from dataclasses import dataclass

from projections.query.filters import like_of
from projections.query.readers import LOG_SETTINGS
from projections.query.replay_request import ReplayRequest
from projections.query.span import Span
from runtime.clickhouse import Client

PAGE_ROWS = 100_000
"""Every page asks the whole question again, two to four seconds of a million events; more rows take too much memory."""

CHOICE_SETTINGS = LOG_SETTINGS | {"max_result_rows": PAGE_ROWS, "max_execution_time": 20}
"""ClickHouse's own settings for these questions."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One event for one subscription.

    Attributes:
        partition: where it stands in the events stream; -1 when the events table does not have it.
        generation: of the subscription that a delivery was made for; -1 for one that was named.
        received_ms: epoch milliseconds at which the event was accepted; 0 when the events table does not have it.
        payload_bytes: of its body.
    """

    partition: int
    offset: int
    event_id: str
    subscription_id: str
    generation: int
    received_ms: int = 0
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """SQL for the rows that are wanted, and what it binds."""

    sql: str
    parameters: dict[str, object]


def selection_of(request: ReplayRequest, span: Span) -> Selection:
    """The question that a request is."""
    parameters: dict[str, object] = {**span.parameters(), "to": request.to or "", "states": request.states}
    filters = _filters(request, parameters)
    events = [span.condition("received_at"), *filters]
    deliveries = [span.condition("created_at"), *filters]
    if request.to and request.chosen_mode != "failed":
        chosen = _of_events(request, events, deliveries)
    else:
        chosen = _of_deliveries(request, deliveries)
    # Found by its id alone: the time and the topic of a delivery are those of its event.
    places = (
        "SELECT event_id, min((toInt64(_partition), toInt64(_offset))) AS place, 1 AS found,"  # noqa: S608 - names are ours, values are bound
        " toUnixTimestamp64Milli(min(received_at)) AS at_ms, max(payload_bytes) AS size FROM events FINAL"
        f" WHERE {' AND '.join(events)} AND event_id IN (SELECT event_id FROM chosen) GROUP BY event_id"
    )
    sql = (
        f"WITH chosen AS ({chosen}) SELECT if(found = 1, place.1, -1) AS at_partition, place.2 AS at_offset,"  # noqa: S608 - as above
        f" event_id, subscription_id, generation, at_ms, size FROM chosen LEFT JOIN ({places}) AS p USING (event_id)"
    )
    return Selection(sql, parameters)


def _filters(request: ReplayRequest, parameters: dict[str, object]) -> list[str]:
    conditions = []
    for name in ("topic_id", "source_id"):
        if value := getattr(request, name):
            conditions.append(f"{name} = {{{name}:String}}")
            parameters[name] = value
    if request.event_ids:
        conditions.append("event_id IN {event_ids:Array(String)}")
        parameters["event_ids"] = request.event_ids
    if request.event_types:
        conditions.append("arrayExists(pattern -> event_type LIKE pattern, {event_types:Array(String)})")
        parameters["event_types"] = [like_of(pattern) for pattern in request.event_types]
    if request.subscription_id:
        parameters["subscription_id"] = request.subscription_id
    return conditions


def _of_events(request: ReplayRequest, events: list[str], deliveries: list[str]) -> str:
    """Events for the subscription that was named, whatever became of them, or those that it never got."""
    first = f"SELECT event_partition, event_offset FROM dispatches FINAL WHERE {events[0]} AND NOT duplicate"  # noqa: S608 - as above
    wanted = [*events, f"(_partition, _offset) IN ({first})"]
    if request.subscription_id:
        wanted.append(_delivered("IN", "subscription_id", deliveries))
    if request.chosen_mode == "missing":
        wanted.append(_delivered("NOT IN", "to", deliveries))
    return (
        "SELECT event_id, {to:String} AS subscription_id, toInt64(-1) AS generation FROM events FINAL"  # noqa: S608 - as above
        f" WHERE {' AND '.join(wanted)} GROUP BY event_id"
    )


def _delivered(membership: str, parameter: str, deliveries: list[str]) -> str:
    return (
        f"event_id {membership} (SELECT event_id FROM deliveries FINAL"  # noqa: S608 - as above
        f" WHERE subscription_id = {{{parameter}:String}} AND {' AND '.join(deliveries)})"
    )


def _of_deliveries(request: ReplayRequest, deliveries: list[str]) -> str:
    """Events by their deliveries: to the subscription that got them, or to the one that was named."""
    wanted = list(deliveries)
    if request.subscription_id:
        wanted.append("subscription_id = {subscription_id:String}")
    elif request.to:
        wanted.append("subscription_id = {to:String}")
    ended = ""
    if request.chosen_mode == "failed":
        # One that was made again and is on its way, or has arrived, has not failed any more.
        ended = (
            " HAVING countIf(status IN ('PENDING', 'RETRYING', 'SUCCESS')) = 0"
            " AND countIf(status IN {states:Array(String)}) > 0"
        )
    ends = (
        "SELECT event_id, subscription_id, max(generation) AS generation FROM deliveries FINAL"  # noqa: S608 - as above
        f" WHERE {' AND '.join(wanted)} GROUP BY event_id, subscription_id{ended}"
    )
    if not request.to:
        return ends
    return f"SELECT DISTINCT event_id, {{to:String}} AS subscription_id, toInt64(-1) AS generation FROM ({ends})"  # noqa: S608 - as above


def count_selected(client: Client, selection: Selection) -> int:
    """How many rows there are."""
    ((number,),) = client.query(f"SELECT count() FROM ({selection.sql})", parameters=selection.parameters).result_rows  # noqa: S608 - as above
    return int(number)


def read_selected(client: Client, selection: Selection, last: Selected | None) -> list[Selected]:
    """The rows after the last one by partition and offset; fewer than `PAGE_ROWS` are the end."""
    after = (last.partition, last.offset, last.event_id, last.subscription_id) if last else (-2, 0, "", "")
    result = client.query(
        f"SELECT * FROM ({selection.sql}) WHERE (at_partition, at_offset, event_id, subscription_id) >"  # noqa: S608 - as above
        " ({partition:Int64}, {offset:Int64}, {event_id:String}, {subscription:String})"
        " ORDER BY at_partition, at_offset, event_id, subscription_id LIMIT {rows:UInt32}",
        parameters={
            **selection.parameters,
            **dict(zip(("partition", "offset", "event_id", "subscription"), after, strict=True)),
            "rows": PAGE_ROWS,
        },
    )
    return [Selected(*row) for row in result.result_rows]


def is_known(client: Client, subscription_id: str) -> bool:
    """Whether there is such a subscription, as far as the tables tell: made and not deleted, or delivered to."""
    changes = client.query(
        "SELECT action FROM config_changes FINAL WHERE kind = 'subscriptions' AND id = {id:String}"
        " AND result = 'applied' AND action != 'nothing' ORDER BY _offset DESC LIMIT 1",
        parameters={"id": subscription_id},
    ).result_rows
    if changes:
        return bool(changes[0][0] != "deleted")
    delivered = client.query(
        "SELECT 1 FROM deliveries WHERE subscription_id = {id:String} LIMIT 1", parameters={"id": subscription_id}
    )
    return bool(delivered.result_rows)
