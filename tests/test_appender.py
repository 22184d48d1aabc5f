"""Appending to a real broker, also after what breaks a producer for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from runtime.kafka import Appender, EndOffsets, NotStoredError, Outgoing, RecordTooLargeError
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.streams import DEAD, EVENTS, MAX_RECORD_BYTES, StreamNames
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack


@pytest.fixture
async def settings(kafka: RunningKafka, tmp_path: Path) -> Settings:
    made = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=2, data_dir=tmp_path)
    await create_streams(made)
    return made


@pytest.fixture
async def appender(settings: Settings) -> AsyncIterator[Appender]:
    running = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await running.start()
    yield running
    await running.stop()


def lose_the_sequence(appender: Appender, settings: Settings, partition: int) -> None:
    """What a batch that fails leaves behind in an idempotent producer."""
    producer = appender._producer
    assert producer is not None
    topic = StreamNames(settings.kafka_prefix)(EVENTS)
    producer._txn_manager.increment_sequence_number(TopicPartition(topic, partition), 7)


async def test_records_stand_where_they_are_said_to_stand(appender: Appender) -> None:
    stored = await appender.append_all([Outgoing(EVENTS, b"%d" % n, b"k", partition=n % 2) for n in range(10)])
    assert [(item.partition, item.offset) for item in stored] == [(n % 2, n // 2) for n in range(10)]


async def test_a_key_leads_where_the_client_library_leads_it(appender: Appender, settings: Settings) -> None:
    keys = [b"", b"a", b"ab", b"abc", b"abcd", "schlüssel".encode(), *(b"%x" % (n * 2_654_435_761) for n in range(200))]
    ours = await appender.append_all([Outgoing(EVENTS, b"x", key) for key in keys])
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        topic = StreamNames(settings.kafka_prefix)(EVENTS)
        theirs = [await producer.send_and_wait(topic, b"x", key=key) for key in keys]
    assert [item.partition for item in ours] == [item.partition for item in theirs]
    assert {item.partition for item in ours} == {0, 1}


async def test_a_record_that_no_stream_takes_is_refused_and_the_next_ones_are_stored(appender: Appender) -> None:
    await appender.append_surely(Outgoing(EVENTS, b"before", b"k", partition=0))
    for _ in range(3):
        with pytest.raises(RecordTooLargeError):
            await appender.append_surely(Outgoing(EVENTS, b"x" * (MAX_RECORD_BYTES + 1), b"k", partition=0))
    stored = await asyncio.wait_for(appender.append_surely(Outgoing(EVENTS, b"after", b"k", partition=0)), 10)
    assert stored.offset == 1


async def test_the_largest_record_that_is_let_through_is_one_that_the_broker_takes(appender: Appender) -> None:
    headers = [(f"name-{n}", b"v" * 10) for n in range(100)]
    length = MAX_RECORD_BYTES - 2_048 - sum(len(name) + len(raw) for name, raw in headers)
    await appender.append(DEAD, b"x" * length, key=b"", headers=headers, timeout_s=20)


async def test_a_producer_that_is_out_of_sequence_is_replaced(appender: Appender, settings: Settings) -> None:
    await appender.append_surely(Outgoing(EVENTS, b"before", b"k", partition=0))
    lose_the_sequence(appender, settings, 0)
    records = [Outgoing(EVENTS, b"%d" % number, b"k", partition=0) for number in range(5)]
    stored = await asyncio.wait_for(appender.append_all(records), 30)
    assert len({item.offset for item in stored}) == 5
    assert (await appender.append(EVENTS, b"x", key=b"k", partition=1, timeout_s=10)).offset == 0


async def test_a_single_append_says_that_it_failed_and_the_next_one_works(
    appender: Appender, settings: Settings
) -> None:
    await appender.append_surely(Outgoing(EVENTS, b"before", b"k", partition=0))
    lose_the_sequence(appender, settings, 0)
    with pytest.raises(NotStoredError):
        await appender.append(EVENTS, b"lost", key=b"k", partition=0, timeout_s=20)
    assert (await appender.append(EVENTS, b"next", key=b"k", partition=0, timeout_s=20)).offset == 1


async def test_nothing_is_repeated_once_it_must_not_be(appender: Appender, settings: Settings) -> None:
    await appender.append_surely(Outgoing(EVENTS, b"before", b"k", partition=0))
    lose_the_sequence(appender, settings, 0)
    with pytest.raises(NotStoredError):
        await appender.append_all([Outgoing(EVENTS, b"late", b"k", partition=0)], still=lambda: False)
    ends = EndOffsets(settings.bootstrap)
    await ends.start()
    topic = TopicPartition(StreamNames(settings.kafka_prefix)(EVENTS), 0)
    assert (await ends.of([topic]))[topic] == 1
    await ends.stop()
