"""What a worker knows of the last 24 hours when it gets a partition, read back from a real broker."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata

from processors.dispatch.dedup import SLACK_MS, Deduplicator
from processors.dispatch.firsts import MAX_UNWRITTEN
from rules.dedup import WINDOW_MS, First, Sighting
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.ids import dedup_hash
from schemas.streams import DISPATCHES, StreamNames
from tests.kafka_fixture import RunningKafka

DEADLINE_S = 60.0
MANY = 2 * MAX_UNWRITTEN

pytestmark = pytest.mark.stack


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sighting(number: int, offset: int | None = None) -> Sighting:
    return Sighting(dedup_hash("t", f"id-{number}", b"k"), number if offset is None else offset, now_ms())


def dispatch(seen: Sighting, **fields: object) -> bytes:
    told = {
        "event_id": f"e{seen.offset}",
        "topic_id": "t",
        "source_id": "s",
        "event_type": "push",
        "received_ms": seen.at_ms,
        "dispatched_ms": seen.at_ms,
        "event_partition": 0,
        "event_offset": seen.offset,
        "config_version": 0,
        "dedup_hash": seen.hash.hex(),
        "appended_ms": seen.at_ms,
    }
    return encode_dispatch(Dispatch(**told | fields))  # type: ignore[arg-type]


class Workers:
    """Any number of workers, each with a folder of its own, on one dispatches stream."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = StreamNames(settings.kafka_prefix)
        self.stream = self._names(DISPATCHES)
        self.opened: list[Deduplicator] = []

    def worker(self, name: str) -> Deduplicator:
        made = Deduplicator(self._settings.bootstrap, self.stream, self._settings.data_dir / name)
        self.opened.append(made)
        return made

    async def append(self, values: Sequence[bytes]) -> list[RecordMetadata]:
        appender = Appender(self._settings.bootstrap, self._names)
        await appender.start()
        stored = await appender.append_all([Outgoing(DISPATCHES, value, b"e", partition=0) for value in values])
        await appender.stop()
        return stored

    async def dispatched(self, start: int, count: int) -> list[RecordMetadata]:
        return await self.append([dispatch(sighting(number)) for number in range(start, start + count)])


async def load(worker: Deduplicator, assignment: int = 1, first_ms: int = 0) -> Deduplicator:
    async with asyncio.timeout(DEADLINE_S):
        await worker.load(0, assignment, first_ms or now_ms(), lambda: True)
    return worker


def missing(worker: Deduplicator, numbers: Sequence[int]) -> list[int]:
    """Ids that a worker would take for new."""
    again = [sighting(number, offset=1_000_000 + number) for number in numbers]
    found = worker.find(0, again)
    return [number for number, seen in zip(numbers, again, strict=True) if seen.offset not in found]


@pytest.fixture
async def workers(kafka: RunningKafka, tmp_path: Path) -> Workers:
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=1, data_dir=tmp_path
    )
    await create_streams(settings)
    return Workers(settings)


@pytest.fixture(autouse=True)
def closed(workers: Workers) -> Iterator[None]:
    yield
    for worker in workers.opened:
        worker.close()


async def test_an_empty_stream_is_loaded_at_once(workers: Workers) -> None:
    worker = await load(workers.worker("a"))
    assert missing(worker, [1, 2]) == [1, 2]


async def test_a_worker_without_files_knows_every_first_one_of_the_stream(workers: Workers) -> None:
    await workers.dispatched(0, MANY)
    worker = await load(workers.worker("a"))
    assert missing(worker, range(MANY)) == []
    assert worker.find(0, [sighting(7, offset=5_000)])[5_000].offset == 7
    assert missing(worker, [MANY]) == [MANY]


async def test_after_a_crash_a_worker_reads_on_from_its_file(workers: Workers) -> None:
    worker = await load(workers.worker("a"))
    stored = await workers.dispatched(0, MANY)
    worker.remember(0, [sighting(number) for number in range(MANY)], stored, now_ms())
    last = await workers.dispatched(MANY, 3)
    worker.remember(0, [sighting(number) for number in range(MANY, MANY + 3)], last, now_ms())
    worker.close()  # as a crash leaves it: the last ones were not written
    again = await load(workers.worker("a"))
    assert missing(again, range(MANY + 3)) == []


async def test_a_partition_that_comes_back_brings_what_others_dispatched_meanwhile(workers: Workers) -> None:
    first, second = workers.worker("a"), workers.worker("b")
    await load(first)
    await workers.dispatched(0, MANY)
    await load(second)
    await workers.dispatched(MANY, 10)
    await load(first, assignment=2)
    assert missing(second, range(MANY)) == []
    assert missing(first, range(MANY + 10)) == []


async def test_a_worker_that_goes_on_after_its_partition_went_and_gets_it_back_knows_what_the_owner_dispatched(
    workers: Workers,
) -> None:
    late = await load(workers.worker("a"))
    owner = await load(workers.worker("b"))
    owner.remember(0, [sighting(1)], await workers.dispatched(1, 1), now_ms())
    late.remember(0, [sighting(2)], await workers.dispatched(2, 1), now_ms())
    owner.remember(0, [sighting(2), sighting(3)], await workers.dispatched(2, 2), now_ms())
    assert missing(owner, [1, 2, 3]) == []
    await load(late, assignment=2)
    assert missing(late, [1, 2, 3]) == []


async def test_what_another_wrote_between_is_read_before_the_next_batch(workers: Workers) -> None:
    owner = await load(workers.worker("b"))
    await workers.dispatched(1, 1)
    owner.remember(0, [sighting(2)], await workers.dispatched(2, 1), now_ms())
    await load(owner)  # in the same assignment
    assert missing(owner, [1, 2]) == []


async def test_what_is_no_first_one_is_not_taken_for_one(workers: Workers) -> None:
    await workers.append(
        [
            dispatch(sighting(1), duplicate=True, duplicate_of="0/0"),
            dispatch(sighting(2), dedup_hash=""),
            dispatch(sighting(3), dedup_hash="no hex"),
            b"no dispatch record",
        ]
    )
    await workers.dispatched(4, 1)
    worker = await load(workers.worker("a"))
    assert missing(worker, [1, 2, 3, 4]) == [1, 2, 3]


async def test_events_from_before_what_a_file_holds_make_it_read_further_back(workers: Workers) -> None:
    await workers.dispatched(0, 10)
    worker = await load(workers.worker("a"), first_ms=now_ms() + 3 * WINDOW_MS)
    assert missing(worker, range(10)) == list(range(10))
    await load(worker, assignment=1)  # the assignment is the same, the time is not
    assert missing(worker, range(10)) == []


async def test_a_file_of_a_stream_that_was_made_anew_counts_for_nothing(workers: Workers) -> None:
    worker = await load(workers.worker("a"))
    there = TopicPartition(workers.stream, 0)
    elsewhere = RecordMetadata(*there, there, 0, now_ms() - SLACK_MS, 1, 0)
    worker.remember(0, [sighting(1)], [elsewhere], now_ms())
    await workers.dispatched(2, 5)
    await load(worker, assignment=2)
    assert missing(worker, [1, 2]) == [1]


async def test_a_worker_that_lost_the_partition_reads_no_further(workers: Workers) -> None:
    await workers.dispatched(0, MANY)
    worker = workers.worker("a")
    async with asyncio.timeout(DEADLINE_S):
        await worker.load(0, 1, now_ms(), lambda: False)
    assert worker.entries == 0


async def test_a_repetition_names_the_first_one(workers: Workers) -> None:
    first = sighting(1)
    await workers.append([dispatch(first)])
    worker = await load(workers.worker("a"))
    assert worker.find(0, [sighting(1, offset=9)]) == {9: First(first.offset, first.at_ms)}
    assert worker.find(0, [first]) == {}
