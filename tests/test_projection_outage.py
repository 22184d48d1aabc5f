"""While ClickHouse cannot store, nothing is lost, little is held, and the group stays together."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from projections.writer.batch import MAX_BYTES
from projections.writer.metrics import WriterMetrics
from projections.writer.records import Records
from projections.writer.rows import PROJECTIONS
from projections.writer.writer import Writer
from runtime.clickhouse import Client
from schemas.attempt import AttemptStatus
from tests.clickhouse_fixture import Count, count, engine, writer
from tests.kafka_fixture import RunningKafka, nothing_lost
from tests.projections_fixture import DEADLINE_S, Projections, Stages, make_attempt, make_delivery, make_event

__all__ = ["count", "engine", "writer"]

pytestmark = pytest.mark.stack

BODY = b"x" * 500_000


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_table_that_is_away_is_waited_for_without_losing_or_hoarding_rows(
    kafka: RunningKafka, writer: Client, count: Count, tmp_path: Path
) -> None:
    settings = Projections(kafka, tmp_path).settings
    registry = CollectorRegistry()
    metrics = WriterMetrics(registry)
    failures = "hooklog_projections_insert_failures_total"
    streams = [projection.stream for projection in PROJECTIONS]
    writing = Writer(writer, lambda on_revoked: Records(settings, streams, on_revoked, nothing_lost, "test"), metrics)
    async with Stages(settings) as stages:
        running = asyncio.create_task(writing.run())
        await asyncio.to_thread(writer.command, "RENAME TABLE events TO events_away")
        for _ in range(60):
            await stages.event(make_event(body=BODY))
        await stages.attempts([make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS)])
        await until(lambda: not writing.storing_works and (registry.get_sample_value(failures) or 0) >= 3)
        held = registry.get_sample_value("hooklog_projections_held_bytes")
        assert held is not None
        assert 0 < held < 3 * MAX_BYTES
        await asyncio.to_thread(writer.command, "RENAME TABLE events_away TO events")
        await until(lambda: writing.storing_works and count("events") == 60 and count("attempts") == 1)
        assert writing.reading_works
        writing.stop()
        await running
