"""Whatever kills the writers, shares their partitions or loses an answer: the tables hold what Kafka has."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from projections.app import USERS_CONFIG
from projections.sealing.figures import COUNTS, HOURLY_TABLES, HourlyTable
from projections.sealing.seal import seal
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.settings import Settings
from schemas.attempt import AttemptStatus, encode_attempt
from schemas.streams import ATTEMPTS
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import committed
from tests.oracle.projection_books import Books, books_of
from tests.projections_fixture import Projections, Stages, make_attempt, make_delivery, make_event
from tests.writers_process import Orders

pytestmark = pytest.mark.stack

SEEDS = [int(text) for text in os.environ.get("HOOKLOG_FAULT_SEEDS", "1 2 3").split()][:1]
KILLS, LONG_KILLS = 6, 110
POISON = 0.01
DRAIN_S = 60.0


class Run:
    """A seeded run.

    Args:
        settings: which Kafka and which streams.
        folder: of the engine.
        seed: of everything that is left to chance.
    """

    def __init__(self, settings: Settings, folder: Path, seed: int) -> None:
        self.settings = settings
        self.chance = random.Random(seed)
        self.folder = folder / "clickhouse"
        self._log = folder / "writers.log"

    @contextmanager
    def writers(self, *, second: bool) -> Iterator["subprocess.Popen[bytes]"]:
        """A process of writers, once it is at work; ended by -9 unless it has ended."""
        orders = Orders(
            str(self.folder),
            self.settings.bootstrap,
            self.settings.kafka_prefix,
            self.chance.randrange(1 << 30),
            second=second,
        )
        command = [sys.executable, "-m", "tests.writers_process", msgspec.json.encode(orders).decode()]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()
            process.wait(DRAIN_S)
            process.stdout.close()

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Attempts, and what is none, as long as this lasts."""
        appending = asyncio.create_task(self._append())
        try:
            yield
        finally:
            appending.cancel()
            await asyncio.wait([appending])

    async def _append(self) -> None:
        chance = random.Random(self.chance.random())
        async with Stages(self.settings) as stages:
            while True:
                await asyncio.shield(self._append_some(stages, chance))

    async def _append_some(self, stages: Stages, chance: random.Random) -> None:
        for _ in range(20):
            delivery = make_delivery(make_event(), f"s{chance.randrange(20)}")
            last = chance.choice([AttemptStatus.SUCCESS, AttemptStatus.FAILED, AttemptStatus.RETRYING])
            made = [
                make_attempt(delivery, number, AttemptStatus.RETRYING) for number in range(1, chance.randrange(1, 4))
            ]
            await stages.attempts([*made, make_attempt(delivery, len(made) + 1, last, response_status_code=200)])
            if chance.random() < POISON * 3:  # for each delivery, and it has two records and a half
                await stages.raw(ATTEMPTS, poison(chance), chance.randrange(2))
        await asyncio.sleep(0.02)  # the pace of the load

    async def drained(self) -> None:
        """Returns when everything is committed."""
        topic = f"{self.settings.kafka_prefix}{ATTEMPTS.name}"
        places = [TopicPartition(topic, number) for number in range(self.settings.partitions)]
        async with AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap) as consumer:
            ends = await consumer.end_offsets(places)
        group = f"{self.settings.kafka_prefix}projections"
        async with asyncio.timeout(DRAIN_S):
            for place in places:
                while await committed(self.settings.bootstrap, group, place) < ends[place]:
                    await asyncio.sleep(0.1)

    def hours(self, table: HourlyTable) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The hourly figures, after a last pass over what is not sealed."""
        keys = ", ".join(table.keys)
        with closing(self.client()) as client:
            assert seal(client, 90) is not None
            rows = client.query(
                f"SELECT toUnixTimestamp(hour), {keys}, {', '.join(COUNTS)}, durations FROM {table.name} FINAL"  # noqa: S608 - our own
            ).result_rows
        width = 1 + len(table.keys)
        return {tuple(row[:width]): tuple(row[width:]) for row in rows}

    def client(self) -> Client:
        """A client of the engine, while no writer has it."""
        return EmbeddedClickHouse(self.folder, USERS_CONFIG).open_writer()

    def tables(self) -> Books:
        """What the tables hold."""
        with closing(self.client()) as client:
            attempts = client.query(
                "SELECT _partition, _offset, delivery_id, subscription_id, topic_id, source_id, event_type, attempt,"
                " status, response_status_code, duration_ms, toUnixTimestamp64Milli(started_at) FROM attempts FINAL"
            ).result_rows
            states = client.query("SELECT delivery_id, status, attempts FROM deliveries FINAL").result_rows
            errors = client.query("SELECT stream, _partition, _offset FROM projection_errors FINAL").result_rows
        assert len({row[:2] for row in attempts}) == len(attempts)
        assert len({row[0] for row in states}) == len(states)
        return Books(
            {row[:2]: tuple(row[2:]) for row in attempts}, {row[0]: tuple(row[1:]) for row in states}, set(errors)
        )


def poison(chance: random.Random) -> bytes | None:
    """What is no attempt."""
    attempt = make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS)
    document: dict[str, Any] = json.loads(encode_attempt(attempt))
    number = chance.choice(["attempt", "response_status_code", "duration_ms"])
    return chance.choice([None, b"", b"{", b"[]", json.dumps(document | {number: 1 << 40}).encode()])


async def prove(kafka: RunningKafka, folder: Path, seed: int, kills: int) -> None:
    """Kills and starts writers so many times while records come, and compares."""
    run = Run(Projections(kafka, folder).settings, folder, seed)
    async with Stages(run.settings):
        pass  # the streams are there
    async with run.load():
        for kill in range(kills):
            with run.writers(second=kill % 4 == 0):
                await asyncio.sleep(run.chance.uniform(0.1, 1.6))  # what is tried: any moment
    with run.writers(second=True) as process:
        await run.drained()
        process.terminate()
        assert await asyncio.to_thread(process.wait, DRAIN_S) == 0
    expected = await books_of(run.settings.bootstrap, f"{run.settings.kafka_prefix}{ATTEMPTS.name}")
    found = run.tables()
    assert len(expected.attempts) > 50 * kills, f"seed {seed}: too little happened"
    assert expected.errors, f"seed {seed}: no poison"
    assert found.errors == expected.errors, f"seed {seed}"
    assert found.attempts == expected.attempts, f"seed {seed}"
    assert found.deliveries == expected.deliveries, f"seed {seed}"
    for table in HOURLY_TABLES:
        assert run.hours(table) == expected.hours(*table.keys), f"seed {seed}: {table.name}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_writers_lose_and_repeat_nothing(kafka: RunningKafka, tmp_path: Path, seed: int) -> None:
    await prove(kafka, tmp_path, seed, KILLS)


@pytest.mark.faults
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_hundred_kills_lose_and_repeat_nothing(kafka: RunningKafka, tmp_path: Path, seed: int) -> None:
    await prove(kafka, tmp_path, seed, LONG_KILLS)
