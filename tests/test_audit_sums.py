"""Whatever is dropped or doubled at random leaves a rest in its minute; the closer look names it, and no more."""

import random
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from projections.audit.auditor import AUDIT_SETTINGS
from projections.audit.sums import read_sums
from projections.audit.suspects import Some, look_at_deliveries, look_at_events, read_progress
from projections.audit.window import SLOT_MS, Window
from projections.writer.batch import Batch, Place
from projections.writer.rows import PROJECTIONS
from projections.writer.store import store
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.attempt import Attempt, AttemptStatus, encode_attempt
from schemas.delivery import Delivery, encode_delivery
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.event import Event, encode_event
from schemas.streams import ATTEMPTS, DELIVERIES, DISPATCHES, EVENTS, Stream
from tests.clickhouse_fixture import engine
from tests.clickhouse_fixture import writer as empty_writer
from tests.projections_fixture import make_attempt, make_delivery, make_event

__all__ = ["empty_writer", "engine"]

pytestmark = pytest.mark.stack

NOON_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
ROWS_OF = {projection.stream: projection.rows for projection in PROJECTIONS}


@pytest.fixture
def writer(empty_writer: Client) -> Client:
    empty_writer.command("ALTER TABLE dispatches DROP PARTITION ALL")
    return empty_writer


class World:
    """Random events with what came of them; some records are dropped, some tried twice."""

    def __init__(self, seed: int, client: Client) -> None:
        self._chance = random.Random(seed)
        self._client = client
        self._batch = Batch(0)
        self._offsets: Counter[Stream] = Counter()
        self.expected: set[tuple[str, str]] = set()
        self.slots: set[int] = set()

    def put(self, stream: Stream, value: bytes, headers: Any = ()) -> None:
        """Stores a record's rows."""
        offset = self._offsets[stream]
        self._offsets[stream] += 1
        record = SimpleNamespace(partition=0, offset=offset, value=value, headers=headers)
        place = Place(TopicPartition(stream.name, 0), stream.name, offset, NOON_MS)
        self._batch.add(place, ROWS_OF[stream](record), 0)

    def lost(self, kind: str, about: str, event: Event, share: float = 0.02) -> bool:
        """Whether this record is to be lost; the audit must then say so."""
        if self._chance.random() >= share:
            return False
        self.expected.add((kind, about))
        self.slots.add(event.received_ms // SLOT_MS)
        return True

    def event(self, number: int) -> None:
        """One event."""
        received_ms = NOON_MS + self._chance.randrange(HOUR_MS)
        event = make_event(event_id=f"event-{number}", received_ms=received_ms)
        if not self.lost("event_missing", event.event_id, event):
            self.put(EVENTS, event.body, encode_event(event))
        else:
            self._offsets[EVENTS] += 1
        names = [name for name in ("billing", "search", "audit") if self._chance.random() < 0.6]
        for name in names:
            self.delivery(event, make_delivery(event, name))
        self.put(DISPATCHES, encode_dispatch(dispatch_of(event, number, len(names))))

    def delivery(self, event: Event, delivery: Delivery) -> None:
        """One delivery and its attempts; the rows of a lost delivery are lost with all that came of it."""
        if self.lost("delivery_missing", event.event_id, event):
            return
        self.put(DELIVERIES, delivery.value, encode_delivery(delivery))
        last = self._chance.randrange(1, 5)
        for number in range(1, last + 1):
            status = AttemptStatus.SUCCESS if number == last else AttemptStatus.RETRYING
            attempt = make_attempt(delivery, number, status, config_version=9)
            if number < last and self.lost("attempt_missing", delivery.delivery_id, event):
                continue
            self.attempt(event, attempt)

    def attempt(self, event: Event, attempt: Attempt) -> None:
        """One attempt, of which the request is sometimes repeated."""
        self.put(ATTEMPTS, encode_attempt(attempt))
        if self._chance.random() < 0.02:
            self.put(ATTEMPTS, encode_attempt(attempt))
            self.slots.add(event.received_ms // SLOT_MS)

    def close(self) -> None:
        """Inserts everything."""
        store(self._client, self._batch)


def dispatch_of(event: Event, offset: int, matched: int) -> Dispatch:
    return Dispatch(
        event_id=event.event_id,
        topic_id=event.topic_id,
        source_id=event.source_id,
        event_type=event.event_type,
        received_ms=event.received_ms,
        dispatched_ms=event.received_ms,
        event_partition=0,
        event_offset=offset,
        config_version=9,
        matched=matched,
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_is_lost_leaves_a_rest_in_its_minute_and_is_named(
    engine: EmbeddedClickHouse, writer: Client, seed: int
) -> None:
    world = World(seed, writer)
    for number in range(300):
        world.event(number)
    world.close()
    window = Window(NOON_MS, NOON_MS + HOUR_MS)
    reader = engine.open_reader(AUDIT_SETTINGS)
    try:
        uneven = read_sums(reader, window, 0).uneven
        assert set(uneven) == world.slots
        exact = read_sums(reader, window, 0, uneven)
        some, progress = Some.of_slots(uneven), read_progress(reader, NOON_MS)
        looks = [
            look_at_events(reader, window, some, progress),
            look_at_deliveries(reader, window, some),
        ]
    finally:
        reader.close()
    found = defaultdict(set)
    for look in looks:
        for suspect in look.suspects:
            found[suspect.offender.kind].add(suspect.offender.id)
    assert {(kind, one) for kind, ids in found.items() for one in ids} == world.expected
    assert len(world.expected) > 5
    assert exact.figures["dispatched"] >= len({one for kind, one in world.expected if kind == "event_missing"})


def test_rows_that_are_written_again_change_no_sum(engine: EmbeddedClickHouse, writer: Client) -> None:
    for _ in range(2):  # as a writer does that was killed before its commit
        world = World(7, writer)
        for number in range(50):
            world.event(number)
        world.close()
    window = Window(NOON_MS, NOON_MS + HOUR_MS)
    reader = engine.open_reader(AUDIT_SETTINGS)
    try:
        slots = list(range(NOON_MS // SLOT_MS, (NOON_MS + HOUR_MS) // SLOT_MS + 1))
        assert set(read_sums(reader, window, 0, slots).uneven) == world.slots
        assert read_sums(reader, window, 0, slots).figures["dispatched"] == 50
    finally:
        reader.close()
