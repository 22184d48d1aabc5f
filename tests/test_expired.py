"""No group begins again by itself: what was gone before it was read is recorded, and red until somebody takes note."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from runtime.expired import TAKE_NOTE, ExpiredRecords, acknowledged, append_expired, read_expired
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.expired import Expired
from schemas.operation import decode_operation
from schemas.streams import EVENTS, OPERATIONS, RETRY_TIERS, StreamNames
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import expire, read_stream
from tests.oracle.stack import until
from tests.test_batchfed import Worker, committed, numbered, produce, running, settings
from tests.test_delay_service import Log, Running, delivery, log, now_ms

__all__ = ["log", "settings"]

pytestmark = pytest.mark.stack

Loss = tuple[TopicPartition, int, int]


class Losses(list[Loss]):
    """What a reader told of."""

    async def note(self, place: TopicPartition, first: int, then: int) -> None:
        self.append((TopicPartition(*place), first, then))


async def set_back(bootstrap: str, group: str, place: TopicPartition, offset: int) -> None:
    """Commits any offset for a group that nobody is in."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([place])
    await consumer.commit({place: offset})
    await consumer.stop()


class Reading(Worker):
    """A batch-fed worker that keeps what it is told of."""

    def __init__(self, settings: Settings, finishes: Callable[[bytes], bool]) -> None:
        super().__init__(settings, finishes)
        self.losses = Losses()
        self.app.on_lost = self.losses.note


def everything(_: bytes) -> bool:
    return True


async def read_all(worker: Worker, count: int) -> list[bytes]:
    async def enough() -> bool:
        return len(worker.read) >= count

    await until(f"{count} records", enough)
    return worker.read


def events_of(settings: Settings, partition: int = 0) -> TopicPartition:
    return TopicPartition(StreamNames(settings.kafka_prefix)(EVENTS), partition)


# The workers' own group.


async def test_a_group_that_starts_first_on_a_log_without_its_beginning_has_missed_nothing(settings: Settings) -> None:
    await produce(settings, numbered(20))
    await expire(settings.bootstrap, events_of(settings), 12)
    async with running(Reading(settings, everything)) as worker:
        assert await read_all(worker, 8) == numbered(8, start=12)
    assert worker.losses == []


async def test_what_expired_while_the_workers_were_down_is_told_once_with_its_offsets_and_the_rest_is_read(
    settings: Settings,
) -> None:
    await produce(settings, numbered(10))
    async with running(Reading(settings, everything)) as worker:
        await read_all(worker, 10)
        await worker.app.consumer.force_commit()
    await produce(settings, numbered(20, start=10))
    await expire(settings.bootstrap, events_of(settings), 25)
    async with running(Reading(settings, everything)) as worker:
        assert await read_all(worker, 5) == numbered(5, start=25)
        assert worker.losses == [(events_of(settings), 10, 25)]
    async with running(Reading(settings, everything)) as worker:
        await produce(settings, [b"last"])
        assert await read_all(worker, 1) == [b"last"]
        assert worker.losses == []


async def test_a_loss_of_all_there_was_is_not_told_again_though_nothing_new_has_come(settings: Settings) -> None:
    await produce(settings, numbered(10))
    async with running(Reading(settings, lambda _: False)) as worker:  # nothing finished: the group is at its beginning
        await read_all(worker, 10)
        await worker.app.consumer.force_commit()
    assert await committed(settings) == 0
    await expire(settings.bootstrap, events_of(settings), 10)
    async with running(Reading(settings, everything)) as worker:

        async def told() -> bool:
            await worker.app.consumer.force_commit()
            return await committed(settings) == 10

        await until("a commit of where it goes on", told)
        assert worker.losses == [(events_of(settings), 0, 10)]
    async with running(Reading(settings, everything)) as worker:
        await produce(settings, [b"last"])
        await read_all(worker, 1)
        assert worker.losses == []


async def test_a_stream_that_ends_below_what_was_read_is_told_and_read_from_its_beginning(settings: Settings) -> None:
    await produce(settings, numbered(10))
    await set_back(settings.bootstrap, f"{settings.kafka_prefix}workers", events_of(settings), 1_000)
    async with running(Reading(settings, everything)) as worker:
        assert await read_all(worker, 10) == numbered(10)
        assert worker.losses == [(events_of(settings), 1_000, 0)]


# The delay service's.


class Delaying(Running):
    """A delay service that keeps what it is told of."""

    def __init__(self, log: Log) -> None:
        self.losses = Losses()
        super().__init__(log, on_lost=self.losses.note)


async def test_deliveries_that_expired_while_they_waited_are_told_and_the_rest_is_released(log: Log) -> None:
    place = TopicPartition(log.names(RETRY_TIERS[0]), 0)
    group = f"{log.settings.kafka_prefix}delay"

    async def at() -> int | None:
        consumer = AIOKafkaConsumer(bootstrap_servers=log.settings.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        offset: int | None = await consumer.committed(place)
        await consumer.stop()
        return offset

    async def begun() -> bool:
        return await at() is not None

    async with Delaying(log) as first:
        await until("a commit of the beginning", begun)
    assert first.losses == []
    await log.append([(RETRY_TIERS[0], delivery(7 * number, now_ms())) for number in range(10)])  # all of one key
    ends = {rec.partition: rec.offset + 1 for rec in await read_stream(log.settings.bootstrap, place.topic)}
    ((number, end),) = ends.items()
    place = TopicPartition(place.topic, number)
    await expire(log.settings.bootstrap, place, end - 3)
    async with Delaying(log) as second:
        found = await log.released(3)
    assert {item.delivery_id for item, _ in found} == {"d49", "d56", "d63"}
    assert second.losses == [(place, 0, end - 3)]
    await expire(log.settings.bootstrap, place, end)
    async with Delaying(log) as third:
        await log.append([(RETRY_TIERS[0], delivery(70, now_ms()))])
        await log.released(4)
    assert third.losses == []


# What is recorded of it.


def loss(first: int, then: int, **changes: Any) -> Expired:
    plain = {"group": "processors", "stream": "events", "partition": 0, "noticed_ms": 1}
    return Expired(**{**plain, "first": first, "next": then, "count": max(0, then - first), **changes})


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=6), st.data())
def test_losses_add_up_until_they_are_acknowledged_and_a_repetition_adds_nothing(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    known: Expired | None = None
    position = count = 0
    for lost, read in steps:
        told = loss(position, position + lost)
        for _ in range(data.draw(st.integers(1, 3))):  # a crash before the commit tells it again
            known = told.after(known) or known
        count += lost
        assert known is not None
        assert (known.count, known.next, known.acknowledged_ms) == (count, told.next, 0)
        position = told.next + read
        if data.draw(st.booleans()):
            (known,), count = acknowledged([known], 5), 0
            assert told.after(known) is None


def test_a_stream_that_was_made_again_is_a_loss_of_its_own() -> None:
    before = acknowledged([loss(10, 1_000)], 5)[0]
    assert loss(0, 7).after(before) == loss(0, 7)
    short = loss(1_000, 0)
    assert (short.shortened, short.count) == (True, 0)
    assert short.after(before) == short
    assert short.after(short) is None
    assert "does not reach any more" in short.text


@pytest.fixture
async def streams(kafka: RunningKafka) -> Settings:
    made = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=2)
    await create_streams(made)
    return made


async def test_a_loss_is_known_to_every_service_and_red_only_for_the_one_whose_group_it_is(streams: Settings) -> None:
    names = StreamNames(streams.kafka_prefix)

    def service(*groups: str) -> ExpiredRecords:
        return ExpiredRecords(streams.bootstrap, names, groups, lambda: 7, CollectorRegistry())

    workers, read_side = service("processors", "delay"), service("projections")
    await workers.start()
    await read_side.start()

    async def green() -> bool:
        return workers.none and read_side.none

    await until("green", green)
    place = TopicPartition(names(EVENTS), 1)
    await read_side.of_group("projections")(place, 3, 10)
    await read_side.of_group("projections")(place, 3, 10)
    (item,) = (await read_expired(streams.bootstrap, names)).values()
    assert (item.key, item.count, item.noticed_ms) == ("projections/events/1", 7, 7)
    assert read_side.reasons() == [
        "7 records of events[1] expired before projections read them: offsets 3 to 9; " + TAKE_NOTE
    ]
    assert workers.none
    (told,) = await read_stream(streams.bootstrap, names(OPERATIONS))
    operation = decode_operation(told.value)
    assert (operation.kind, operation.subject_id, operation.detail["count"]) == ("records.expired", "events", 7)
    await append_expired(streams.bootstrap, names, acknowledged([item], 9))
    await until("green again", green)
    await workers.stop()
    await read_side.stop()
