"""Fewer and fuller requests, on a real broker: nothing is lost, late for ever, or sent alone that had company."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from runtime.kafka import Appender, Outgoing
from runtime.pace import pace_fetches
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.streams import EVENTS, StreamNames
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack

PACE_S = 0.5
RECORDS = 40
DEADLINE_S = 60


@pytest.fixture
async def settings(kafka: RunningKafka, tmp_path: Path) -> Settings:
    made = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=2, data_dir=tmp_path)
    await create_streams(made)
    return made


@pytest.fixture
async def consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    topic = StreamNames(settings.kafka_prefix)(EVENTS)
    async with AIOKafkaConsumer(topic, bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest") as connected:
        yield connected


def counting(client: Any, name: str) -> list[str]:
    """Every request of a kind that a client sends from now on."""
    sent: list[str] = []
    send: Callable[..., Awaitable[Any]] = client.send

    async def counted(node: int, request: Any, **more: Any) -> Any:
        if type(request).__name__.startswith(name):
            sent.append(name)
        return await send(node, request, **more)

    client.send = counted
    return sent


async def read(consumer: AIOKafkaConsumer, count: int) -> list[bytes]:
    values: list[bytes] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(values) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in records]
    return values


async def append_one_by_one(appender: Appender) -> None:
    tasks = []
    for number in range(RECORDS):
        tasks.append(asyncio.create_task(appender.append_surely(_record(number))))
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)


def _record(number: int) -> Outgoing:
    return Outgoing(EVENTS, b"%d" % number, b"k", partition=number % 2)


async def test_records_that_come_one_by_one_share_requests_and_keep_their_order(
    settings: Settings, consumer: AIOKafkaConsumer
) -> None:
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix), pace_s=PACE_S)
    await appender.start()
    await appender.append_surely(Outgoing(EVENTS, b"-1", b"k", partition=1))  # knows the partitions from here on
    producer: Any = appender._producer
    sent = counting(producer.client, "Produce")
    await append_one_by_one(appender)
    await appender.stop()
    assert 0 < len(sent) <= RECORDS // 2
    values = [value for value in await read(consumer, RECORDS + 1) if value != b"-1"]
    for partition in range(2):
        expected = [number for number in range(RECORDS) if number % 2 == partition]
        assert [int(value) for value in values if int(value) % 2 == partition] == expected


async def test_a_producer_that_stops_in_its_pause_has_sent_everything(
    settings: Settings, consumer: AIOKafkaConsumer
) -> None:
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix), pace_s=PACE_S)
    await appender.start()
    await appender.append_surely(_record(0))
    waiting = [await appender.send(EVENTS, b"%d" % number, key=b"k") for number in range(1, 5)]
    await appender.stop()
    assert all(future.done() for future in waiting)
    assert sorted(await read(consumer, 5)) == [b"0", b"1", b"2", b"3", b"4"]


async def test_records_that_come_one_by_one_are_fetched_together(
    settings: Settings, consumer: AIOKafkaConsumer
) -> None:
    pace_fetches(consumer, PACE_S)
    sent = counting(consumer._client, "Fetch")
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await appender.start()
    reading = asyncio.create_task(read(consumer, RECORDS))
    for number in range(RECORDS):
        await appender.append_surely(_record(number))
    assert sorted(map(int, await reading)) == list(range(RECORDS))
    await appender.stop()
    assert 0 < len(sent) <= RECORDS // 2
