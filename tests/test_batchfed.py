"""The contract of what replaces parts of Faust, held against a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

import aiokafka
import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from processors.batchfed.acker import BatchAcker, Token
from processors.batchfed.app import BatchApp
from processors.batchfed.consumer import BatchConsumer, NumberedListener
from processors.shortcut import Shortcut
from runtime.kafka import Appender, Outgoing
from runtime.pace import pace_fetches
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.streams import EVENTS, StreamNames
from tests.kafka_fixture import RunningKafka, nothing_lost

PARTITIONS = 2
DEADLINE_S = 60.0
STORM_S = 15.0
"""About 25 rebalances: without the check that a fetch is newer than the last seek, records are lost in most runs."""

pytestmark = pytest.mark.stack


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


WorkerT = TypeVar("WorkerT", bound="Worker")


class Worker:
    """A batch-fed worker that keeps what it reads, and finishes what it is told to."""

    def __init__(self, settings: Settings, finishes: Callable[[bytes], bool]) -> None:
        self.app = BatchApp(
            f"{settings.kafka_prefix}workers",
            bootstrap=settings.bootstrap,
            partitions=PARTITIONS,
            session_timeout_s=settings.session_timeout_s,
            data_dir=settings.data_dir,
            on_lost=nothing_lost,
        )
        self.acker = BatchAcker(self.app)
        self.read: list[bytes] = []
        self.batches = 0
        self.open: list[Token] = []
        self._finishes = finishes
        topic = self.app.batch_topic(StreamNames(settings.kafka_prefix)(EVENTS))
        self.app.agent(topic, name="reader")(self._read)

    async def _read(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.batches += 1
            message = event.message
            for token, record in await self.acker.open(message.tp, message.generation_id, event.value):
                self.read.append(record.value)
                if self._finishes(record.value):
                    self.acker.done(token)
                else:
                    self.open.append(token)


@asynccontextmanager
async def running(worker: WorkerT) -> AsyncIterator[WorkerT]:
    await worker.app.start()
    try:
        yield worker
    finally:
        await worker.app.stop()


@pytest.fixture
async def settings(kafka: RunningKafka, tmp_path: Path) -> Settings:
    made = Settings(
        kafka_bootstrap=kafka.bootstrap,
        kafka_prefix=kafka.new_prefix(),
        partitions=PARTITIONS,
        data_dir=tmp_path,
        session_timeout_s=6,
    )
    await create_streams(made)
    return made


async def produce(settings: Settings, values: list[bytes], partition: int = 0) -> None:
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await appender.start()
    await appender.append_all([Outgoing(EVENTS, value, None, partition=partition) for value in values])
    await appender.stop()


async def committed(settings: Settings, partition: int = 0) -> int | None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, group_id=f"{settings.kafka_prefix}workers", enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(StreamNames(settings.kafka_prefix)(EVENTS), partition)
        offset: int | None = await consumer.committed(tp)
        return offset
    finally:
        await consumer.stop()


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def test_the_versions_are_those_whose_lines_are_replaced() -> None:
    assert faust.__version__ == "0.15.3"
    assert aiokafka.__version__ == "0.14.0"


async def test_every_record_comes_once_and_in_far_fewer_batches(settings: Settings) -> None:
    await produce(settings, numbered(3_000))
    async with running(Worker(settings, lambda _: True)) as worker:
        await until(lambda: len(worker.read) >= 3_000)
        assert worker.read == numbered(3_000)
        assert worker.batches < 100


async def test_a_commit_never_passes_an_unfinished_record_even_as_the_first_one_ever(settings: Settings) -> None:
    await produce(settings, numbered(100))
    async with running(Worker(settings, lambda value: value != b"10")) as worker:
        await until(lambda: len(worker.read) >= 100)
        await worker.app.consumer.force_commit()
        assert await committed(settings) == 10
    async with running(Worker(settings, lambda _: True)) as worker:
        await until(lambda: len(worker.read) >= 90)
        assert worker.read == numbered(90, start=10)


async def test_a_first_record_that_is_unfinished_keeps_the_group_at_its_beginning(settings: Settings) -> None:
    await produce(settings, numbered(50))
    async with running(Worker(settings, lambda value: value != b"0")) as worker:
        await until(lambda: len(worker.read) >= 50)
        await worker.app.consumer.force_commit()
        assert await committed(settings) == 0  # which is committed, so that it is noticed when that expires
        worker.acker.done(worker.open[0])
        assert await worker.app.consumer.force_commit()
        assert await committed(settings) == 50


async def test_a_batch_that_gets_lost_before_the_agent_is_read_again(settings: Settings) -> None:
    await produce(settings, numbered(20))
    async with running(Worker(settings, lambda _: True)) as worker:
        await until(lambda: len(worker.read) >= 20)
        await produce(settings, numbered(30, start=20))
        await until(lambda: len(worker.read) >= 50)
        tp = TP(StreamNames(settings.kafka_prefix)(EVENTS), 0)
        consumer: BatchConsumer = worker.app.consumer
        await produce(settings, numbered(10, start=50))
        await until(lambda: len(worker.read) >= 60)
        consumer._expected[tp] = 65  # as if what stands below had been fetched, and dropped with a cleared queue
        await produce(settings, numbered(10, start=60))
        await until(lambda: len(worker.read) >= 70)
        assert worker.read == numbered(70)
        assert worker.acker.rewinds >= 1
        await consumer.force_commit()
        assert await committed(settings) == 70


async def test_a_partition_without_a_commit_is_read_from_its_beginning_after_a_discarded_fetch(
    settings: Settings,
) -> None:
    await produce(settings, numbered(10))
    async with running(Worker(settings, lambda _: False)) as worker:
        await until(lambda: len(worker.read) >= 10)
        await worker.app.consumer.perform_seek()
        tp = TP(StreamNames(settings.kafka_prefix)(EVENTS), 0)
        assert worker.app.consumer._expected[tp] == 0
        assert await worker.app.consumer.position(tp) == 0


async def test_two_workers_share_the_partitions_and_one_that_stops_loses_nothing(settings: Settings) -> None:
    first, second = (Worker(settings, lambda _: True) for _ in range(2))
    async with running(first):
        for partition in range(PARTITIONS):
            await produce(settings, numbered(500, start=1_000 * partition), partition)
        async with running(second):
            await until(lambda: len({*first.app.consumer.assignment()} & {*second.app.consumer.assignment()}) == 0)
            for partition in range(PARTITIONS):
                await produce(settings, numbered(500, start=1_000 * partition + 500), partition)
            expected = {*numbered(1_000), *numbered(1_000, start=1_000)}
            await until(lambda: {*first.read, *second.read} >= expected)
        await produce(settings, numbered(100, start=5_000), 1)
        await until(lambda: {*first.read, *second.read} >= {*numbered(100, start=5_000)})


async def test_a_storm_of_rebalances_under_load_loses_nothing(settings: Settings) -> None:
    worker = Worker(settings, lambda _: True)

    async def commit(*_: object, **__: object) -> None:
        await worker.app.consumer.commit()

    def rejoin() -> None:
        worker.app.consumer._thread._consumer._coordinator.request_rejoin()

    worker.app.on_partitions_revoked.connect(commit)
    sent, random = 0, Random(7)
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await appender.start()
    async with running(worker):
        await produce(settings, [b"first"])
        await until(lambda: bool(worker.read))
        deadline = time.monotonic() + STORM_S
        next_rejoin = 0.0
        while time.monotonic() < deadline:
            values = numbered(2 * PARTITIONS, start=sent)
            await appender.append_all(
                [Outgoing(EVENTS, value, None, partition=number % PARTITIONS) for number, value in enumerate(values)]
            )
            sent += len(values)
            if time.monotonic() > next_rejoin:
                rejoin()
                next_rejoin = time.monotonic() + random.uniform(0.3, 0.8)
        await until(lambda: {*worker.read} >= {*numbered(sent)})
    await appender.stop()


async def test_assignments_are_numbered_by_the_process_and_never_repeat() -> None:
    seen: list[int] = []

    async def assigned(_: object, number: int) -> None:
        seen.append(number)

    app = SimpleNamespace(consumer_generation_id=0)
    consumer = SimpleNamespace(last_beat_s=0.0, moved=lambda: None)
    thread = SimpleNamespace(app=app, consumer=consumer, on_partitions_assigned=assigned)
    for _ in range(3):
        await NumberedListener(thread).on_partitions_assigned([])  # Kafka's generation, here absent, is not asked
    assert len(set(seen)) == 3
    assert app.consumer_generation_id == seen[-1]
    assert thread.consumer.last_beat_s > 0


async def test_what_this_process_stored_comes_without_a_fetch_unless_something_else_comes_first(
    settings: Settings,
) -> None:
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await appender.start()
    records = [Outgoing(EVENTS, value, None, partition=0) for value in numbered(5)]
    async with running(Worker(settings, lambda _: True)) as worker:
        shortcut = Shortcut(worker.app, worker.acker)
        await until(lambda: worker.app.consumer.flowing and len(worker.app.consumer.assignment()) == PARTITIONS)
        pace_fetches(worker.app.consumer._thread._consumer, 3_600)  # one fetch is under way, and one more will be
        for number in range(2):
            await appender.append_surely(records[number])
            await until(partial(lambda count: len(worker.read) == count, number + 1))
        await shortcut.take([records[2]], [await appender.append_surely(records[2])])
        await until(lambda: len(worker.read) > 2)
        await appender.append_surely(records[3])
        await shortcut.take([records[4]], [await appender.append_surely(records[4])])
        assert worker.read == numbered(3)
    async with running(Worker(settings, lambda _: True)) as worker:
        await until(lambda: len(worker.read) >= 2)
        assert worker.read == numbered(2, start=3)
    await appender.stop()
