"""The services when records are gone before they were read: red, and at work; and deliveries that are too old."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.expired import TAKE_NOTE
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.operation import decode_operation
from tests.kafka_fixture import RunningKafka
from tests.oracle.http import NoAnswerError, get
from tests.oracle.kafka_reader import expire, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.test_spine import arrived, rows

pytestmark = pytest.mark.stack


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
            except NoAnswerError:
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
        f"{count} records of events[{partition}] expired before {group} read them:"
        f" offsets {first} to {then - 1}; {TAKE_NOTE}"
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


async def test_a_parked_delivery_that_gets_too_old_is_a_dead_letter_without_a_request(
    stack: Stack, team: Team, receiver: Receiver
) -> None:
    topic = await team.github_topic()
    retry = {"delays_s": [1, 1, 1, 1, 1, 1, 1], "max_age_s": 12}
    aged = await team.subscribe(topic, receiver.url("/outage/aged"), retry=retry, max_in_flight=1)
    await Sender([stack.ports["ingest"]], topic, SECRET).send_many(Load(30, ("push",), 1_000))
    found = await rows(stack, "deliveries", 30, subscription_id=aged["id"], status="FAILED", reason="expired")
    unsent = [row for row in found if not row["attempts"]]
    assert unsent
    letters = await read_stream(stack.bootstrap, "hooklog.dead")
    assert sum(rec.header("hl-subscription") == aged["id"] for rec in letters) == 30
    parked = await stack.sql("SELECT DISTINCT delivery_id FROM attempts WHERE kind = 'parked'")
    assert {row["delivery_id"] for row in unsent} <= {row["delivery_id"] for row in parked}
