"""Hourly figures that are not those of their attempts are named, and no others."""

import time

import pytest

from projections.audit.auditor import AUDIT_SETTINGS
from projections.audit.rollups import read_rollups
from projections.audit.window import Window
from projections.sealing.seal import seal
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.headers import rfc3339
from tests.attempt_books import rows_of, store
from tests.clickhouse_fixture import engine
from tests.clickhouse_fixture import writer as empty_writer

__all__ = ["empty_writer", "engine"]

pytestmark = pytest.mark.stack

HOUR_S = 3_600
DAYS = 90


@pytest.fixture
def writer(empty_writer: Client) -> Client:
    for table in ("stats_by_subscription", "stats_by_topic", "seals"):
        empty_writer.command(f"ALTER TABLE {table} DROP PARTITION ALL")
    return empty_writer


def test_an_hour_whose_figures_are_not_those_of_its_attempts_is_named(
    engine: EmbeddedClickHouse, writer: Client
) -> None:
    now_s = int(time.time())
    rows = rows_of(seed=3, count=400, now_s=now_s)
    store(writer, [row | {"_ingested_at": now_s - HOUR_S} for row in rows])  # long enough ago to be sealed
    seal(writer, DAYS)
    reader = engine.open_reader(AUDIT_SETTINGS)
    window = Window(0, now_s * 1_000)
    try:
        assert read_rollups(reader, window) == []

        store(writer, [row | {"_ingested_at": now_s - HOUR_S} for row in rows[:50]])  # as a crash does
        assert read_rollups(reader, window) == []

        hour_s = rows[0]["started_at"] // HOUR_S * HOUR_S
        wrong = "SELECT * REPLACE (attempts + 1 AS attempts, now64(6) AS sealed_at) FROM stats_by_topic FINAL"
        writer.command(f"INSERT INTO stats_by_topic {wrong} WHERE toUnixTimestamp(hour) = {hour_s} LIMIT 1")
        assert [item.id for item in read_rollups(reader, window)] == [f"stats_by_topic/{rfc3339(hour_s * 1_000)}"]

        store(writer, [rows[0] | {"_offset": 10_000}])  # the hour goes on: nobody expects it to be sealed
        assert read_rollups(reader, window) == []
    finally:
        reader.close()
