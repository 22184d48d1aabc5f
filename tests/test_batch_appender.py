"""Many records at once on a real broker: each has its own outcome, and a broken producer breaks only what it held."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from runtime.batch_appender import BatchAppender, NotAppended
from runtime.kafka import NotStoredError, Outgoing, RecordTooLargeError
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.streams import EVENTS, MAX_RECORD_BYTES, StreamNames
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack


@pytest.fixture
async def settings(kafka: RunningKafka, tmp_path: Path) -> Settings:
    made = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=2, data_dir=tmp_path)
    await create_streams(made)
    return made


@pytest.fixture
async def appender(settings: Settings) -> AsyncIterator[BatchAppender]:
    running = BatchAppender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await running.start()
    yield running
    await running.stop()


def records(*sizes: int) -> Iterator[Outgoing]:
    return (Outgoing(EVENTS, bytes(size), b"k", partition=number % 2) for number, size in enumerate(sizes))


def stored(outcomes: list[NotAppended | None]) -> list[bool]:
    return [outcome is None for outcome in outcomes]


async def test_a_record_that_is_too_large_leaves_the_others_as_they_are(appender: BatchAppender) -> None:
    outcomes = await appender.append_each(records(1, MAX_RECORD_BYTES, 1), timeout_s=30)
    assert stored(outcomes) == [True, False, True]
    assert isinstance(outcomes[1], RecordTooLargeError)
    assert await appender.append_each(records(), timeout_s=30) == []


async def test_more_than_the_producer_holds_at_a_time_is_taken_whole(appender: BatchAppender) -> None:
    assert all(stored(await appender.append_each(records(*[20_000] * 400), timeout_s=60)))


async def test_a_producer_out_of_sequence_fails_what_it_held_and_the_next_batch_is_stored(
    appender: BatchAppender, settings: Settings
) -> None:
    assert all(stored(await appender.append_each(records(1, 1), timeout_s=30)))
    assert appender._producer
    place = TopicPartition(StreamNames(settings.kafka_prefix)(EVENTS), 0)
    appender._producer._txn_manager.increment_sequence_number(place, 7)
    outcomes = await appender.append_each(records(1, 1), timeout_s=30)
    assert isinstance(outcomes[0], NotStoredError)
    assert all(stored(await appender.append_each(records(1, 1), timeout_s=30)))


async def test_what_no_broker_takes_in_time_is_not_stored(appender: BatchAppender, kafka: RunningKafka) -> None:
    assert all(stored(await appender.append_each(records(1), timeout_s=30)))
    await asyncio.to_thread(kafka.kill)
    try:
        outcomes = await appender.append_each(records(*[200_000] * 8), timeout_s=2)
    finally:
        await asyncio.to_thread(kafka.start)  # a producer stops when it has sent what it holds
    assert [type(outcome) for outcome in outcomes] == [NotStoredError] * 8
