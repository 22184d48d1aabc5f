"""Events as the tables keep them, whole, for what rules make of them: in batches that fit into memory."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from projections.query.lookups import PAYLOADS, earliest_ms
from projections.query.shown import epoch_ms_of
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.event import Event

BATCH_BYTES = 8_388_608
"""Of payloads; a batch with a larger one has no other."""

BATCH_EVENTS = 1_000
"""Ids in one question."""

_COLUMNS = (
    "event_id, topic_id, source_id, event_type, received_at, content_type, source_ip, dedup_id, traceparent,"
    " schema_fault, headers, payload, payload_bytes"
)


class EventKey(NamedTuple):
    """What an event is found by, and how much it is."""

    event_id: str
    received_ms: int
    payload_bytes: int


def batches(keys: Iterable[EventKey]) -> Iterator[list[EventKey]]:
    """The keys in their order, as many together as are read at a time."""
    batch: list[EventKey] = []
    size_bytes = 0
    for key in keys:
        if batch and (len(batch) == BATCH_EVENTS or size_bytes + key.payload_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(key)
        size_bytes += key.payload_bytes
    if batch:
        yield batch


def read_events(client: Client, batch: list[EventKey]) -> dict[str, Event]:
    """The events of a batch by id; one whose payload is not kept whole is not among them."""
    times = [key.received_ms for key in batch]
    found = client.query(
        f"SELECT {_COLUMNS} FROM events FINAL WHERE event_id IN {{ids:Array(String)}}"  # noqa: S608 - names are ours
        " AND received_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
        " AND received_at <= fromUnixTimestamp64Milli({last:Int64}, 'UTC') LIMIT 1 BY event_id",
        parameters={"ids": [key.event_id for key in batch], "first": min(times), "last": max(times)},
        column_formats=PAYLOADS,
    )
    rows = [row for row in found.named_results() if len(row["payload"]) == row["payload_bytes"]]
    return {row["event_id"]: event_of(row) for row in rows}


def read_event(client: Client, event_id: str) -> Event:
    """One event.

    Raises:
        ProblemError: 404, there is none; 410, its payload is not kept any more.
    """
    found = client.query(
        "SELECT * FROM events FINAL WHERE event_id = {id:String}"
        " AND received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') ORDER BY received_at DESC LIMIT 1",
        parameters={"id": event_id, "since": earliest_ms(event_id)},
        column_formats=PAYLOADS,
    )
    row = next(iter(found.named_results()), None)
    if row is None:
        raise ProblemError(404, detail=f"there is no event {event_id}")
    if len(row["payload"]) != row["payload_bytes"]:
        raise ProblemError(410, "payload_expired", "the payload is not kept any more")
    return event_of(row)


def event_of(row: Mapping[str, Any]) -> Event:
    """The event of a row with its payload in bytes; its headers have lower-case names, as filters see them."""
    return Event(
        event_id=row["event_id"],
        topic_id=row["topic_id"],
        source_id=row["source_id"],
        event_type=row["event_type"],
        received_ms=epoch_ms_of(row["received_at"]),
        body=bytes(row["payload"]),
        content_type=row["content_type"],
        source_ip=row["source_ip"],
        dedup_id=row["dedup_id"],
        traceparent=row["traceparent"],
        schema_fault=row["schema_fault"],
        request_headers=tuple(row["headers"].items()),
    )
