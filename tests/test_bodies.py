"""Large bodies are read where their events stand: shared, bounded, and never mistaken for one another."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from processors.deliver.bodies import Bodies
from runtime.kafka import Appender, Outgoing
from runtime.positions import PositionReader
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.delivery import MAX_INLINE_BODY_BYTES, BodyRef, Delivery
from schemas.streams import EVENTS, MAX_RECORD_BYTES, StreamNames
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import expire
from tests.oracle.stack import until

MIB = 1_048_576

pytestmark = pytest.mark.stack


def delivery(ref: BodyRef | None, subscription: str = "s", body: bytes = b"") -> Delivery:
    return Delivery(
        delivery_id=f"d-{subscription}",
        event_id="e",
        subscription_id=subscription,
        topic_id="t",
        source_id="s",
        event_type="push",
        generation=0,
        config_version=0,
        received_ms=0,
        body=body,
        body_ref=ref,
    )


@dataclass
class Events:
    """The events stream of a test, and what reads it."""

    settings: Settings
    appender: Appender
    bodies: Bodies

    @property
    def kafka_topic(self) -> str:
        """Where they stand."""
        return StreamNames(self.settings.kafka_prefix)(EVENTS)

    async def append(self, *bodies: bytes) -> list[BodyRef]:
        """Stores events with these bodies together; where they stand."""
        records = [Outgoing(EVENTS, body, b"k", partition=0) for body in bodies]
        stored = await self.appender.append_all(records)
        refs = [BodyRef.of_large(body, 0, record.offset) for body, record in zip(bodies, stored, strict=True)]
        return [ref for ref in refs if ref]

    async def large(self, count: int, size_bytes: int = MIB) -> list[BodyRef]:
        """Stores events with different bodies."""
        return await self.append(*(os.urandom(size_bytes) for _ in range(count)))

    async def expire(self, before: int) -> None:
        """Deletes the oldest records, as retention does."""
        await expire(self.settings.bootstrap, TopicPartition(self.kafka_topic, 0), before)

    async def found(self, ref: BodyRef) -> bytes | None:
        """What a delivery with this reference delivers."""
        async with self.bodies.of(delivery(ref)) as loaded:
            return loaded.body if loaded else None


@pytest.fixture
async def events(kafka: RunningKafka, tmp_path: Path) -> AsyncIterator[Events]:
    settings = Settings(
        data_dir=tmp_path, kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=2
    )
    await create_streams(settings)
    names = StreamNames(settings.kafka_prefix)
    appender = Appender(settings.bootstrap, names)
    bodies = Bodies(PositionReader(settings.bootstrap, names(EVENTS), unknown_limit_s=2), max_bytes=4 * MIB)
    await appender.start()
    await bodies.start()
    yield Events(settings, appender, bodies)
    await bodies.stop()
    await appender.stop()


class Attempts:
    """Attempts under way, each of which ends when it is told to."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.loaded: dict[str, Delivery | None] = {}

    def begin(self, name: str, ref: BodyRef, subscription: str) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._run(name, delivery(ref, subscription)))

    async def _run(self, name: str, item: Delivery) -> None:
        async with self._bodies.of(item) as loaded:
            self.loaded[name] = loaded
            await self._ends[name].wait()

    async def all_loaded(self, *names: str) -> None:
        async def there() -> bool:
            return self.loaded.keys() >= set(names)

        await until(f"the bodies of {names}", there)

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
            await self._tasks[name]

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tasks[name]


def test_a_body_of_up_to_64_kib_travels_with_its_delivery() -> None:
    assert BodyRef.of_large(bytes(MAX_INLINE_BODY_BYTES), 0, 0) is None
    assert BodyRef.of_large(bytes(MAX_INLINE_BODY_BYTES + 1), 3, 7)


async def test_a_body_that_travels_is_taken_as_it_is(events: Events) -> None:
    small = delivery(None, body=b"{}")
    async with events.bodies.of(small) as loaded:
        assert loaded is small
    assert events.bodies.reads == 0


async def test_each_record_is_found_alone_in_its_batch_and_among_others(events: Events) -> None:
    small = [b"%d" % number * 1_000 for number in range(50)]  # of one batch
    records = [Outgoing(EVENTS, body, b"k", partition=0) for body in small]
    offsets = [record.offset for record in await events.appender.append_all(records)]
    reader = PositionReader(events.settings.bootstrap, events.kafka_topic)
    await reader.start()
    try:
        assert [await reader.value_at(0, offset) for offset in offsets] == small
    finally:
        await reader.stop()
    largest = os.urandom(MAX_RECORD_BYTES - 4_096)
    first, second = await events.append(largest, bytes(MIB))
    assert await events.found(first) == largest
    assert await events.found(second) == bytes(MIB)


async def test_a_hundred_attempts_at_one_event_read_it_once(events: Events) -> None:
    (ref,) = await events.large(1, 128 * 1_024)
    found = await asyncio.gather(*(events.found(ref) for _ in range(100)))
    assert [ref.is_of(body or b"") for body in found] == [True] * 100
    assert len({id(body) for body in found}) == 1
    assert events.bodies.reads == 1


async def test_what_is_in_memory_is_bounded_and_the_least_used_goes_first(events: Events) -> None:
    refs = await events.large(8)
    for ref in refs:
        assert ref.is_of(await events.found(ref) or b"")
        assert events.bodies.held_bytes <= 4 * MIB
    assert events.bodies.reads == 8
    await events.found(refs[-1])
    assert events.bodies.reads == 8
    await events.found(refs[0])
    assert events.bodies.reads == 9
    assert events.bodies.under_way_bytes == 0


async def test_attempts_wait_for_room_in_their_order_and_a_full_lane_lets_others_pass(events: Events) -> None:
    refs = await events.large(5)
    attempts = Attempts(events.bodies)
    for number in range(3):
        attempts.begin(f"slow-{number}", refs[number], "slow")
    await attempts.all_loaded("slow-0", "slow-1")  # half of the room is its share
    attempts.begin("other", refs[3], "other")
    await attempts.all_loaded("other")
    assert "slow-2" not in attempts.loaded
    attempts.begin("third", refs[4], "third")
    await attempts.all_loaded("third")
    assert events.bodies.under_way_bytes == 4 * MIB == events.bodies.held_bytes
    await attempts.end("other")
    assert "slow-2" not in attempts.loaded
    await attempts.end("slow-0", "slow-1")
    await attempts.all_loaded("slow-2")
    await attempts.end("slow-2", "third")
    assert events.bodies.under_way_bytes == 0


async def test_an_attempt_that_is_cancelled_leaves_nothing_behind(events: Events) -> None:
    refs = await events.large(4, 2_000_000)
    attempts = Attempts(events.bodies)
    attempts.begin("first", refs[0], "a")
    attempts.begin("second", refs[1], "b")
    attempts.begin("waits", refs[2], "c")
    attempts.begin("next", refs[3], "d")
    await attempts.all_loaded("first", "second")
    await attempts.cancel("waits")
    await attempts.cancel("first")
    await attempts.all_loaded("next")
    await attempts.end("second", "next")
    assert set(attempts.loaded) == {"first", "second", "next"}
    assert events.bodies.under_way_bytes == 0
    attempts.begin("reading", refs[2], "a")
    await asyncio.sleep(0)  # its reading has begun
    await attempts.cancel("reading")
    assert refs[2].is_of(await events.found(refs[2]) or b"")


async def test_a_body_that_nobody_has_any_more_is_none_and_never_another_one(events: Events) -> None:
    expired, kept = await events.large(2)
    beyond = replace(kept, offset=kept.offset + 1)
    missing = [
        expired,
        beyond,
        replace(beyond, offset=kept.offset + 1_000),
        replace(kept, partition=1),  # where nothing ever was
        replace(kept, partition=99),
        replace(kept, digest=expired.digest),  # as in a stream that was made again
        replace(kept, size_bytes=kept.size_bytes - 1),
    ]
    await events.expire(kept.offset)
    assert await asyncio.gather(*(events.found(ref) for ref in missing)) == [None] * len(missing)
    assert kept.is_of(await events.found(kept) or b"")
    assert events.bodies.under_way_bytes == 0
    assert events.bodies.held_bytes == kept.size_bytes


async def test_a_stream_that_is_not_there_is_waited_for(events: Events) -> None:
    reader = PositionReader(events.settings.bootstrap, "no-such-stream")
    await reader.start()
    try:
        asked = asyncio.create_task(reader.value_at(0, 0))
        done, _ = await asyncio.wait([asked], timeout=3)
        assert not done  # a stream that is not there may come back; its deliveries wait
        asked.cancel()
    finally:
        await reader.stop()


async def test_an_outage_is_waited_out(events: Events, kafka: RunningKafka) -> None:
    (ref,) = await events.large(1)
    await asyncio.to_thread(kafka.kill)
    asked = asyncio.create_task(events.found(ref))
    try:
        done, _ = await asyncio.wait([asked], timeout=2)
        assert not done
    finally:
        await asyncio.to_thread(kafka.start)
    assert ref.is_of(await asked or b"")
    assert events.bodies.running
