"""An exchange of tables that is cut off is finished by the next start."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from projections.migrate import migrate
from projections.rebuild.carry import ORIGINS
from projections.rebuild.exchange import create_fresh
from projections.rebuild.kafka_log import KafkaLog
from projections.rebuild.ledger import Rebuild, latest, write
from projections.rebuild.rebuilder import Rebuilder, RebuildRunningError
from projections.rebuild.work import HistoryError, Work
from projections.retention import apply_retention
from projections.sealing.seal import seal
from projections.writer.rows import PROJECTIONS
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.settings import Settings
from schemas.attempt import AttemptStatus
from schemas.ids import new_id
from schemas.streams import ATTEMPTS
from tests.clickhouse_fixture import engine, writer
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import expire
from tests.projections_fixture import Projections, Stages, make_attempt, make_delivery, make_event

__all__ = ["engine", "writer"]

pytestmark = pytest.mark.stack


DEATHS = (1, 5, 1 + len(ORIGINS), 2 + len(ORIGINS))
"""Statements after the exchange was told of: before the first table, amid them, behind the last, before the tidying."""


class DiedError(Exception):
    """Stands for the end of the process."""


class Mortal:
    """A client whose process ends behind a statement."""

    def __init__(self, client: Client, life: "Life") -> None:
        self._client = client
        self._life = life

    def command(self, text: str, **more: Any) -> Any:
        """Runs a statement."""
        answer = self._client.command(text, **more)
        self._life.lived(text)
        return answer

    def raw_insert(self, table: str, insert_block: bytes, fmt: str) -> None:
        """Stores rows."""
        self._client.raw_insert(table, insert_block=insert_block, fmt=fmt)
        state = next((name for name in ("SWAPPING", "DONE") if name.encode() in insert_block), "")
        self._life.lived(f"{table} {state}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class Life:
    """ClickHouse for a process that ends behind its `statements`-th statement of the exchange."""

    def __init__(self, clickhouse: EmbeddedClickHouse, statements: int) -> None:
        self._clickhouse = clickhouse
        self._left = statements
        self._exchanging = False
        self.database, self.fresh = clickhouse.database, clickhouse.fresh

    def create_database(self) -> None:
        """Nothing to do."""

    def open_writer(self, database: str | None = None) -> Client:
        """As the real one."""
        return Mortal(self._clickhouse.open_writer(database), self)

    def open_reader(self, limits: Mapping[str, int]) -> Client:
        """As the real one."""
        return self._clickhouse.open_reader(limits)

    def lived(self, statement: str) -> None:
        """A statement has been run."""
        self._exchanging = self._exchanging or statement == "rebuilds SWAPPING"
        self._left -= self._exchanging
        if self._left == 0:
            raise DiedError(statement)


def tables(client: Client) -> dict[str, list[Any]]:
    return {
        table: list(client.query(f"SELECT * EXCEPT _ingested_at FROM {table} FINAL ORDER BY ALL").result_rows)  # noqa: S608 - our own
        for table in ORIGINS
    }


@pytest.fixture
def settings(kafka: RunningKafka, tmp_path: Path) -> Settings:
    return Projections(kafka, tmp_path).settings


def prepare(client: Client) -> None:
    migrate(client)
    apply_retention(client, Settings(retention_days=77))


async def rebuild(clickhouse: Any, settings: Settings) -> None:
    """What a process does, as far as it comes."""
    work = Work(clickhouse, log_of(settings), prepare, asyncio.Lock(), Rebuild(new_id(), "me", "admin"))
    try:
        await work.open()
        await work.fill()
        await work.swap()
        await work.finish()
    finally:
        await work.close()


def log_of(settings: Settings) -> KafkaLog:
    return KafkaLog(settings, [projection.stream for projection in PROJECTIONS])


async def test_an_exchange_that_is_cut_off_is_finished_by_the_next_start(
    engine: EmbeddedClickHouse, writer: Client, settings: Settings
) -> None:
    async with Stages(settings) as stages:
        deliveries = [make_delivery(make_event(), f"s{number}") for number in range(20)]
        await stages.attempts([make_attempt(delivery, 1, AttemptStatus.SUCCESS) for delivery in deliveries])
        await stages.raw(ATTEMPTS, b"none")
        writer.command(
            "INSERT INTO projection_errors (stream, _partition, _offset, code, appended_at)"
            " VALUES ('attempts', 0, 1000, 'records_expired', now())"
        )
        await rebuild(engine, settings)
        filled = tables(writer)
        assert "toIntervalDay(77)" in writer.command("SHOW CREATE TABLE attempts")
        assert [len(filled[table]) for table in ("attempts", "deliveries", "projection_errors")] == [20, 20, 2]
        for statements in DEATHS:
            with pytest.raises(DiedError):
                await rebuild(Life(engine, statements), settings)
            rebuilder = Rebuilder(engine, lambda: log_of(settings), prepare, asyncio.Lock(), alone=True)
            await rebuilder.settle()
            known = latest(writer)
            assert known is not None
            assert known.rebuild.state == "DONE"
            assert tables(writer) == filled
            assert writer.command("SELECT count() FROM system.databases WHERE name = 'hooklog_rebuild'") == 0


async def test_what_kafka_drops_between_the_filling_and_the_exchange_is_taken_over(
    engine: EmbeddedClickHouse, writer: Client, settings: Settings
) -> None:
    async with Stages(settings) as stages:
        await stages.attempts([make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS)])
        await rebuild(engine, settings)
        kafka_log = log_of(settings)
        work = Work(engine, kafka_log, prepare, asyncio.Lock(), Rebuild(new_id(), "me", "admin"))
        try:
            await work.open()
            await work.fill()
            place = TopicPartition(f"{settings.kafka_prefix}{ATTEMPTS.name}", 0)
            await stages.raw(ATTEMPTS, b"none", partition=0)
            (offset,) = (await ends(settings, place)).values()
            writer.command(
                "INSERT INTO attempts (delivery_id, started_at, _partition, _offset)"  # noqa: S608 - the test's own
                f" VALUES ('late', now(), 0, {offset - 1})"
            )
            writer.command(
                "INSERT INTO projection_errors (stream, _partition, _offset, code, appended_at)"
                " VALUES ('attempts', 1, 7, 'records_expired', now())"
            )
            await expire(settings.bootstrap, place, offset)
            kafka_log._consumer.seek(place, offset - 1)  # forgets what it has fetched ahead
            await work.swap()
            await work.finish()
        finally:
            await work.close()
    assert writer.command("SELECT count() FROM attempts FINAL") == 2
    assert writer.command("SELECT count() FROM projection_errors FINAL") == 1


async def ends(settings: Settings, place: TopicPartition) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        return dict(await consumer.end_offsets([place]))
    finally:
        await consumer.stop()


async def test_who_gave_way_to_a_rebuild_does_not_let_others_clear_it_away(
    engine: EmbeddedClickHouse, writer: Client
) -> None:
    settings = Settings()  # Kafka is not asked
    running = Rebuild("01", "one process", "admin")
    write(writer, running)
    write(writer, Rebuild("02", "another", "admin", "FAILED", reason="01 began at the same moment"))
    create_fresh(writer, engine.fresh)
    third = Rebuilder(engine, lambda: log_of(settings), prepare, asyncio.Lock(), alone=False)
    await third.settle()
    with pytest.raises(RebuildRunningError, match="01"):
        await third.begin("admin")
    databases = "SELECT count() FROM system.databases WHERE name = 'hooklog_rebuild'"
    assert writer.command(databases) == 1
    running.state = "FAILED"
    write(writer, running)
    await third.settle()
    assert writer.command(databases) == 0


async def test_a_stream_that_was_made_again_is_not_rebuilt_from(
    engine: EmbeddedClickHouse, writer: Client, settings: Settings
) -> None:
    async with Stages(settings) as stages:
        await stages.attempts([make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS)])
    before = "INSERT INTO attempts (started_at, _partition, _offset) VALUES (now(), 0, 1000000)"
    writer.command(before)
    with pytest.raises(HistoryError, match="attempts/0"):
        await rebuild(engine, settings)
    assert writer.command("SELECT count() FROM attempts") == 1


async def test_the_hours_are_those_of_the_new_attempts(
    engine: EmbeddedClickHouse, writer: Client, settings: Settings
) -> None:
    async with Stages(settings) as stages:
        await stages.attempts([make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS)])
        await stages.raw(ATTEMPTS, b"none", partition=0)
    await rebuild(engine, settings)
    writer.command(
        "INSERT INTO attempts (subscription_id, kind, started_at, _partition, _offset)"
        " VALUES ('nobody', 'attempt', now(), 0, 0)"
    )
    hours = "SELECT sum(attempts), sum(ended_success) FROM stats_by_subscription FINAL"
    seal(writer, 77)
    assert writer.query(hours).result_rows == [(2, 1)]
    await rebuild(engine, settings)
    seal(writer, 77)
    assert writer.query(hours).result_rows == [(1, 1)]
