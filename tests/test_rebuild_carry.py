"""Rows are taken over exactly where Kafka has no record of them any more."""

from collections.abc import Iterator
from typing import Any

import pytest

from projections.migrate import migrate
from projections.rebuild.carry import ORIGINS, Gap, carry, highest_offsets
from projections.rebuild.exchange import create_fresh, drop_fresh
from runtime.clickhouse import Client, EmbeddedClickHouse
from tests.clickhouse_fixture import engine, writer

__all__ = ["engine", "writer"]

pytestmark = pytest.mark.stack

NO_STREAM = {"schema_migrations", "rebuilds", "seals", "stats_by_subscription", "stats_by_topic"}
"""Tables that are not made of records."""


@pytest.fixture
def fresh(engine: EmbeddedClickHouse, writer: Client) -> Iterator[Client]:
    """A client of the database that is filled."""
    create_fresh(writer, engine.fresh)
    client = engine.open_writer(engine.fresh)
    migrate(client)
    yield client
    client.close()
    drop_fresh(writer, engine.fresh)


def insert(client: Client, table: str, columns: str, *rows: str) -> None:
    client.command(f"INSERT INTO {table} ({columns}) VALUES {', '.join(rows)}")  # noqa: S608 - the test's own


def places(client: Client, table: str) -> list[Any]:
    query = f"SELECT _partition, _offset FROM {table} FINAL ORDER BY ALL"  # noqa: S608 - the test's own
    return list(client.query(query).result_rows)


def test_a_row_is_taken_over_when_its_own_stream_has_a_gap_there(
    engine: EmbeddedClickHouse, writer: Client, fresh: Client
) -> None:
    rows = [f"('{n}', now() - {n} * 86400, 'PENDING', {n % 2}, {n})" for n in range(8)]
    insert(writer, "deliveries", "delivery_id, created_at, status, _partition, _offset", *rows)
    ended = [f"('{n}', now(), 'SUCCESS', {n % 2}, {n})" for n in range(8, 16)]
    insert(writer, "deliveries", "delivery_id, created_at, status, _partition, _offset", *ended)
    gaps = {"deliveries": [Gap(0, 0, 4), Gap(1, 5, 6)], "attempts": [Gap(1, 0, 12)]}
    assert sum(carry(writer, "deliveries", engine.fresh, gaps)) == 5
    assert places(fresh, "deliveries") == [(0, 0), (0, 2), (1, 5), (1, 9), (1, 11)]
    assert highest_offsets(writer) == {
        ("deliveries", 0): 6,
        ("deliveries", 1): 7,
        ("attempts", 0): 14,
        ("attempts", 1): 15,
    }


def test_what_expired_unread_is_taken_over_whatever_kafka_has(
    engine: EmbeddedClickHouse, writer: Client, fresh: Client
) -> None:
    columns = "stream, appended_at, code, _partition, _offset"
    expired = "('events', now(), 'records_expired', 0, 900)"
    insert(writer, "projection_errors", columns, expired, "('events', now(), 'unreadable', 0, 5)")
    assert sum(carry(writer, "projection_errors", engine.fresh, {})) == 1
    assert places(fresh, "projection_errors") == [(0, 900)]
    assert highest_offsets(writer) == {("events", 0): 5}


def test_no_table_is_forgotten(writer: Client) -> None:
    found = writer.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    assert {name for (name,) in found.result_rows} == set(ORIGINS) | NO_STREAM
