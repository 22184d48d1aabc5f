"""The delay service on a real broker: never early, nothing lost, whatever ends it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.delay.service import HIGH_WATER, DelayService
from rules.ladder import Ladder
from runtime.group_reader import Lost
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.delivery import Delivery, decode_delivery, encode_delivery
from schemas.streams import DELIVERIES, PARK_TIERS, RETRY_TIERS, Stream, StreamNames
from tests.kafka_fixture import RunningKafka, nothing_lost

PARTITIONS = 2
DEADLINE_S = 60.0
LADDER = Ladder(RETRY_TIERS, scale=0.1)
PARKING = Ladder(PARK_TIERS, scale=0.1)

pytestmark = pytest.mark.stack


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def delivery(number: int, due_ms: int, body: bytes = b"") -> Delivery:
    return Delivery(
        delivery_id=f"d{number}",
        event_id="e",
        subscription_id=f"s{number % 7}",
        topic_id="t",
        source_id="s",
        event_type="push",
        generation=0,
        config_version=0,
        received_ms=0,
        body=body,
        attempt=2,
        due_ms=due_ms,
    )


class Log:
    """A broker with the streams, and what stands in them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = StreamNames(settings.kafka_prefix)

    async def append(self, records: list[tuple[Stream, Delivery]]) -> None:
        appender = Appender(self.settings.bootstrap, self.names)
        await appender.start()
        await appender.append_all(
            [
                Outgoing(stream, item.body, item.subscription_id.encode(), encode_delivery(item))
                for stream, item in records
            ]
        )
        await appender.stop()

    async def released(self, count: int) -> list[tuple[Delivery, ConsumerRecord]]:
        """What came to `deliveries`, when there are `count` different ones."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(self.names(DELIVERIES), number) for number in range(PARTITIONS)])
        found: list[tuple[Delivery, ConsumerRecord]] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while len({item.delivery_id for item, _ in found}) < count:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found += [(decode_delivery(record.value, record.headers), record) for record in records]
        finally:
            await consumer.stop()
        return found


@pytest.fixture
async def log(kafka: RunningKafka, tmp_path: Path) -> Log:
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap,
        kafka_prefix=kafka.new_prefix(),
        partitions=PARTITIONS,
        data_dir=tmp_path,
        session_timeout_s=6,
    )
    await create_streams(settings)
    return Log(settings)


class Running:
    """A delay service with its own appender, in an `async with`."""

    def __init__(self, log: Log, clock: Callable[[], int] = now_ms, on_lost: Lost = nothing_lost) -> None:
        self.crashes: list[BaseException] = []
        self._appender = Appender(log.settings.bootstrap, log.names)
        self.service = DelayService(
            bootstrap=log.settings.bootstrap,
            names=log.names,
            group=f"{log.settings.kafka_prefix}delay",
            ladders=(LADDER, PARKING),
            appender=self._appender,
            session_timeout_s=6,
            instance_id="",
            now_ms=clock,
            on_crash=self.crashes.append,
            on_lost=on_lost,
        )

    async def __aenter__(self) -> Self:
        await self._appender.start()
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()
        await self._appender.stop()
        assert self.crashes == []


async def test_deliveries_come_back_through_the_ladder_never_early_and_soon_after(log: Log) -> None:
    start_ms = now_ms()
    dues = {number: start_ms + 1_000 + 37 * number for number in range(100)}
    await log.append(
        [(LADDER.next_tier(due - now_ms()) or RETRY_TIERS[0], delivery(n, due)) for n, due in dues.items()]
    )
    async with Running(log):
        found = await log.released(100)
    lateness = [record.timestamp - item.due_ms for item, record in found]
    assert min(lateness) >= 0
    assert {item.delivery_id: item.due_ms for item, _ in found} == {f"d{n}": due for n, due in dues.items()}
    assert len(found) == 100


async def test_a_record_keeps_its_body_and_headers_on_the_way(log: Log) -> None:
    sent = delivery(1, now_ms() + 200, body=bytes(range(256)))
    await log.append([(RETRY_TIERS[0], sent)])
    async with Running(log):
        [(found, _)] = await log.released(1)
    assert found == sent


async def test_a_service_that_stops_and_starts_again_loses_nothing_and_repeats_little(log: Log) -> None:
    await log.append([(RETRY_TIERS[0], delivery(n, now_ms() + 300 + n)) for n in range(2_000)])
    for _ in range(3):
        async with Running(log) as running:
            async with asyncio.timeout(DEADLINE_S):
                while running.service.released < 100:
                    await asyncio.sleep(0.01)
    async with Running(log):
        found = await log.released(2_000)
    # What stood behind one that has to wait longer is passed on again; deliver knows it by its id.
    assert len(found) < 2_200


def full(service: DelayService) -> bool:
    """Whether no partition that has anything asks for more."""
    paused = [part for part in service._held.values() if part.paused]
    return len(paused) == PARTITIONS


async def test_far_more_than_fits_into_memory_waits_in_kafka(log: Log) -> None:
    count = HIGH_WATER * PARTITIONS * 2 + 500
    await log.append([(RETRY_TIERS[3], delivery(n, now_ms() + 86_400_000)) for n in range(count)])
    async with Running(log) as running:
        async with asyncio.timeout(DEADLINE_S):
            while not full(running.service):
                await asyncio.sleep(0.02)
        assert running.service.held <= HIGH_WATER * PARTITIONS
        assert running.service.released == 0


async def test_a_flood_in_one_stream_delays_no_other_stream(log: Log) -> None:
    await log.append([(PARK_TIERS[0], delivery(n, now_ms() + 3_600_000)) for n in range(5_000)])
    due_ms = now_ms() + 400
    await log.append([(RETRY_TIERS[0], delivery(9_999, due_ms))])
    async with Running(log):
        [(item, _)] = await log.released(1)
    assert item.delivery_id == "d9999"


async def test_a_record_that_nobody_can_read_is_passed_on_and_holds_nothing_up(log: Log) -> None:
    appender = Appender(log.settings.bootstrap, log.names)
    await appender.start()
    await appender.append_all([Outgoing(RETRY_TIERS[0], b"?", b"s1", [("hl-due-ms", b"soon")])])
    await appender.stop()
    await log.append([(RETRY_TIERS[0], delivery(1, now_ms() + 200))])
    consumer = AIOKafkaConsumer(bootstrap_servers=log.settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(log.names(DELIVERIES), number) for number in range(PARTITIONS)])
    values: list[bytes] = []
    async with Running(log), asyncio.timeout(DEADLINE_S):
        while len(values) < 2:
            values += [record.value for batch in (await consumer.getmany(timeout_ms=200)).values() for record in batch]
    await consumer.stop()
    assert sorted(values) == [b"", b"?"]
