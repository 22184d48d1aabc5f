"""While ClickHouse cannot store, nothing is lost, little is held, and the group stays together."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from projections.writer.batch import MAX_BYTES
from projections.writer.metrics import WriterMetrics
from projections.writer.records import Records, Revoked
from projections.writer.rows import PROJECTIONS
from projections.writer.writer import Writer
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.settings import Settings
from schemas.attempt import AttemptStatus
from tests.clickhouse_fixture import Count, count, engine, writer
from tests.kafka_fixture import RunningKafka, nothing_lost
from tests.projections_fixture import DEADLINE_S, Projections, Stages, make_attempt, make_delivery, make_event

__all__ = ["count", "engine", "writer"]

pytestmark = pytest.mark.stack

BODY = b"x" * 500_000


def a_writer(
    client: Client, settings: Settings, instance: str, on_divided: Callable[[set[TopicPartition]], None]
) -> Writer:
    """A writer that tells when its group is divided anew."""
    streams = [projection.stream for projection in PROJECTIONS]

    def records(on_revoked: Revoked) -> Records:
        def revoked(gone: set[TopicPartition]) -> None:
            on_divided(gone)
            on_revoked(gone)

        return Records(settings, streams, revoked, nothing_lost, instance)

    return Writer(client, records, WriterMetrics(CollectorRegistry()))


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


@pytest.mark.faults
async def test_an_outage_longer_than_a_session_keeps_the_group_and_one_who_joins_in_it_gets_a_share(
    kafka: RunningKafka, engine: EmbeddedClickHouse, writer: Client, count: Count, tmp_path: Path
) -> None:
    settings = Projections(kafka, tmp_path).settings
    second_client = engine.open_writer()
    divided: list[set[TopicPartition]] = []
    first = a_writer(writer, settings, "first", divided.append)
    second = a_writer(second_client, settings, "second", lambda _: None)
    async with Stages(settings) as stages:
        running = [asyncio.create_task(first.run())]
        await stages.attempts([make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS)])
        await until(lambda: count("attempts") == 1)
        times = len(divided)
        await asyncio.to_thread(writer.command, "RENAME TABLE attempts TO attempts_away")
        many = [make_attempt(make_delivery(make_event(), f"s{n}"), 1, AttemptStatus.SUCCESS) for n in range(40_000)]
        for start in range(0, len(many), 1_000):
            await stages.attempts(many[start : start + 1_000])
        await asyncio.sleep(3 * settings.session_timeout_s)  # the outage
        assert len(divided) == times
        running.append(asyncio.create_task(second.run()))
        await until(lambda: len(divided) > times and second.reading_works)
        await asyncio.to_thread(writer.command, "RENAME TABLE attempts_away TO attempts")
        await until(lambda: count("attempts") == len(many) + 1 and count("deliveries") == len(many) + 1)
        for one in (first, second):
            one.stop()
        await asyncio.gather(*running)
    second_client.close()
