"""No group begins again by itself: what was gone before it was read is recorded, and red until somebody takes note."""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from runtime.expired import ExpiredRecords, acknowledged, append_expired, read_expired
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.expired import Expired
from schemas.operation import decode_operation
from schemas.streams import EVENTS, OPERATIONS, RETRY_TIERS, StreamNames
from tests.kafka_fixture import RunningKafka
from tests.oracle.http import get
from tests.oracle.kafka_reader import expire, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.test_batchfed import Worker, committed, numbered, produce, running, settings
from tests.test_delay_service import Log, Running, delivery, log, now_ms
from tests.test_spine import arrived

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
    assert read_side.reasons() == ["7 records of events[1] expired before projections read them: offsets 3 to 9"]
    assert workers.none
    (told,) = await read_stream(streams.bootstrap, names(OPERATIONS))
    operation = decode_operation(told.value)
    assert (operation.kind, operation.subject_id, operation.detail["count"]) == ("records.expired", "events", 7)
    await append_expired(streams.bootstrap, names, acknowledged([item], 9))
    await until("green again", green)
    await workers.stop()
    await read_side.stop()


# The whole.


@dataclass
class Site:
    """The services on a broker of their own, each started and stopped by itself."""

    stack: Stack
    kafka: RunningKafka
    prefix: str

    async def start(self, *services: str) -> None:
        for service in services:
            self.stack.start(service) if service in self.stack._kinds else await self.stack.add(service, service)

    async def ready(self, service: str) -> dict[str, Any]:
        """What `/ready` says, when it says something."""

        async def look() -> dict[str, Any] | None:
            try:
                answer = await get(self.stack.ports[service], "/ready", timeout_s=5)
            except Exception:  # noqa: BLE001 - it does not listen yet
                return None
            document: dict[str, Any] = answer.json()
            waits = [name for name, passed in document["checks"].items() if not passed]
            return document if waits in ([], ["records"]) else None

        document: dict[str, Any] = await until(f"{service} is ready, or red", look, 90)
        return document

    async def green(self, *services: str) -> None:
        for service in services:

            async def look(name: str = service) -> bool:
                return bool((await self.ready(name))["ready"])

            await until(f"{service} is green", look)

    async def expired(self, *options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self.stack.run("expired", "--json", *options)).splitlines()]


@pytest.fixture
async def site(kafka: RunningKafka, tmp_path: Path) -> AsyncIterator[Site]:
    prefix = kafka.new_prefix()
    made = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=prefix, partitions=2)
    await create_streams(made)
    chosen = {"kafka_bootstrap": kafka.bootstrap, "kafka_prefix": prefix, "partitions": 2}
    stack = Stack(tmp_path, session_timeout_s=6, egress_allow="127.0.0.0/8", **chosen)
    yield Site(stack, kafka, prefix)
    await stack.down()


Missed = tuple[str, str, int, int, int, int]
"""Group, stream, partition, first, next, count."""


async def cut(site: Site, keep: int) -> list[Missed]:
    """Lets all but the last events of each partition expire; what each group misses of them."""
    bootstrap, topic = site.kafka.bootstrap, f"{site.prefix}events"
    ends = {rec.partition: rec.offset + 1 for rec in await read_stream(bootstrap, topic)}
    missed: list[Missed] = []
    for group in ("processors", "projections"):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=f"{site.prefix}{group}", enable_auto_commit=False
        )
        await consumer.start()
        for partition, end in ends.items():
            first = await consumer.committed(TopicPartition(topic, partition))
            assert first is not None
            assert first < end - keep
            missed.append((group, "events", partition, first, end - keep, end - keep - first))
        await consumer.stop()
    for partition, end in ends.items():
        await expire(bootstrap, TopicPartition(topic, partition), end - keep)
    return missed


def sentences(missed: list[Missed], group: str) -> list[str]:
    return sorted(
        f"{count} records of events[{partition}] expired before {group} read them: offsets {first} to {then - 1}"
        for of, _, partition, first, then, count in missed
        if of == group
    )


async def check_what_is_told(site: Site, missed: list[Missed]) -> None:
    """The list, the metric, the operations, and what the commands say."""
    names = ("group", "stream", "partition", "first", "next", "count")
    listed = await site.expired()
    assert sorted(tuple(row[name] for name in names) for row in listed) == sorted(missed)
    assert {row["acknowledged_at"] for row in listed} == {None}
    text = (await get(site.stack.ports["processors"], "/metrics")).body.decode()
    counted = re.findall(
        r'^hooklog_records_expired_total{group="processors",stream="events"} (\S+)$', text, re.MULTILINE
    )
    assert [float(value) for value in counted] == [sum(row[-1] for row in missed if row[0] == "processors")]
    told = [decode_operation(rec.value) for rec in await read_stream(site.kafka.bootstrap, f"{site.prefix}operations")]
    assert sum(item.kind == "records.expired" for item in told) == len(missed)
    assert "expired before processors read" in " ".join((await site.stack.run("status")).split())
    assert "expired before projections read them" in await site.stack.run("doctor")


async def test_services_are_red_until_somebody_takes_note_and_deliver_what_is_left(
    site: Site, receiver: Receiver
) -> None:
    stack, everybody = site.stack, ("ingest", "processors", "projections")
    await site.start(*everybody)
    await site.green(*everybody)
    team = Team(stack)
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/ok/expired"))
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    await sender.send_many(Load(10, ("push",), 100))
    await arrived(receiver, "/ok/expired", 10)
    await stack.sigterm("processors")
    await stack.sigterm("projections")
    await sender.send_many(Load(20, ("push",), 100))
    missed = await cut(site, keep=2)

    await site.start("processors", "projections")
    for service in ("processors", "projections"):
        said = await site.ready(service)
        assert (said["ready"], said["checks"]["records"]) == (False, False)
        assert said["reasons"] == sentences(missed, service)
    await arrived(receiver, "/ok/expired", 14)  # a service that is red goes on
    await check_what_is_told(site, missed)

    noted = await site.expired("--acknowledge", "--yes")
    assert all(row["acknowledged_at"] for row in noted)
    await site.green("processors", "projections")
    await stack.sigterm("processors")
    await site.start("processors")
    await site.green("processors")
    await sender.send_one("push", b"{}")
    assert len(await arrived(receiver, "/ok/expired", 15)) == 15
