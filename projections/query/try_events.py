"""The events that a subscription is tried with: all of a span as far as that is not too much, else a part."""

from collections.abc import Iterator
from dataclasses import dataclass

from projections.query.filters import Condition
from projections.query.lookups import earliest_ms
from projections.query.span import Span
from projections.query.stored_events import EventKey, batches, read_events
from runtime.clickhouse import Client
from schemas.config import ALL_TOPICS, OPERATIONS_TOPIC
from schemas.event import Event

MAX_EVENTS = 20_000
"""Two versions judge and form each; that takes a core for some seconds, while others ask, too."""

MAX_BYTES = 268_435_456
"""256 MiB of payloads, as above."""

DUPLICATE = "duplicate"
UNREADABLE = "event_unreadable"


@dataclass(frozen=True, slots=True)
class Choice:
    """Events that are looked at.

    Attributes:
        total: how many there are.
        one_in: 1 is all of them; else a part that is the same whenever it is asked for.
        keys: of those that are looked at, oldest first.
        reasons: by id, of those that nobody gets, whoever subscribes.
    """

    total: int
    one_in: int
    keys: list[EventKey]
    reasons: dict[str, str]


def of_topics(topics: set[str], span: Span) -> Condition:
    """Holds for the events that subscriptions of these topics may get."""
    within = span.condition("received_at")
    if ALL_TOPICS not in topics:
        names: dict[str, object] = {**span.parameters(), "topics": sorted(topics)}
        return Condition(f"topic_id IN {{topics:Array(String)}} AND {within}", names)
    if OPERATIONS_TOPIC in topics:
        return Condition(within, dict(span.parameters()))
    return Condition(
        f"topic_id != {{operations:String}} AND {within}", {**span.parameters(), "operations": OPERATIONS_TOPIC}
    )


def of_event(event_id: str) -> Condition:
    """Holds for one event."""
    return Condition(
        "event_id = {id:String} AND received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
        {"id": event_id, "since": earliest_ms(event_id)},
    )


def choose(client: Client, wanted: Condition) -> Choice:
    """Which events are looked at."""
    ((total, size_bytes),) = client.query(
        f"SELECT count(), sum(payload_bytes) FROM events FINAL WHERE {wanted.sql}",  # noqa: S608 - names are ours
        parameters=wanted.parameters,
    ).result_rows
    one_in = max(1, -(-total // MAX_EVENTS), -(-size_bytes // MAX_BYTES))
    part = f"{wanted.sql} AND cityHash64(event_id) % {{one_in:UInt64}} = 0"
    # Of two records with one event id, one was delivered.
    fates = (
        "SELECT event_id, min(duplicate) AS twice, max(error != '') AS bad FROM dispatches FINAL"  # noqa: S608 - as above
        f" WHERE {part} GROUP BY event_id"
    )
    found = client.query(
        "SELECT event_id, toUnixTimestamp64Milli(min(received_at)) AS at, max(payload_bytes), max(twice), max(bad)"  # noqa: S608 - as above
        f" FROM events FINAL LEFT JOIN ({fates}) AS fates USING (event_id)"
        f" WHERE {part} GROUP BY event_id ORDER BY at, event_id LIMIT {2 * MAX_EVENTS}",
        parameters=wanted.parameters | {"one_in": one_in},
    )
    rows = found.result_rows
    reasons = {event_id: UNREADABLE if bad else DUPLICATE for event_id, _, _, twice, bad in rows if bad or twice}
    return Choice(int(total), int(one_in), [EventKey(*row[:3]) for row in rows], reasons)


def read_choice(client: Client, choice: Choice) -> Iterator[tuple[EventKey, Event | None]]:
    """Every event that is looked at, oldest first; `None` where the payload is not kept any more."""
    for batch in batches(choice.keys):
        events = read_events(client, batch)
        for key in batch:
            yield key, events.pop(key.event_id, None)
