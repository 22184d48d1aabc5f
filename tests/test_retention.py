"""Tables keep their rows for as long as the settings say, from the next start on."""

import pytest
from pydantic import ValidationError

from projections.retention import apply_retention, kept_of
from projections.sealing.marks import read_marks
from projections.sealing.seal import HOUR_S, seal
from runtime.clickhouse import Client
from runtime.settings import Settings
from tests.attempt_books import rows_of, store
from tests.clickhouse_fixture import engine, writer
from tests.projections_fixture import until

__all__ = ["engine", "writer"]

CHOSEN = Settings(
    retention_days=7,
    retention_rejections_days=3,
    retention_operations_days=30,
    retention_errors_days=14,
    retention_stats_days=800,
)


def expiry_days(client: Client) -> list[float]:
    """Of each part of attempts, how many days after its last row it expires."""
    rows = client.query(
        "SELECT (toUnixTimestamp(delete_ttl_info_max) - toUnixTimestamp(max_time)) / 86400 FROM system.parts"
        " WHERE database = currentDatabase() AND table = 'attempts' AND active"
    ).result_rows
    return [round(days) for (days,) in rows]


def test_retention_is_what_the_settings_say_and_is_changed_only_when_they_do(writer: Client) -> None:
    assert set(apply_retention(writer, CHOSEN)) == set(kept_of(CHOSEN))
    assert apply_retention(writer, CHOSEN) == []
    assert set(apply_retention(writer, Settings())) == set(kept_of(CHOSEN))
    assert apply_retention(writer, Settings()) == []


def test_every_table_that_forgets_has_a_retention_and_drops_whole_parts(writer: Client) -> None:
    found = writer.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
        " AND engine LIKE '%MergeTree' AND create_table_query LIKE '% TTL %'"
    ).result_rows
    assert {name for name, _ in found} == set(kept_of(Settings()))
    assert all("ttl_only_drop_parts = 1" in text for _, text in found)
    assert all("materialize_ttl_recalculate_only = 1" in text for _, text in found)


def test_rows_that_are_there_are_kept_longer_or_shorter_from_then_on(writer: Client) -> None:
    store(writer, rows_of(41, 50, read_marks(writer).now_us // 1_000_000))
    for days in (120, 7, 90):
        apply_retention(writer, Settings(retention_days=days))
        until(lambda days=days: set(expiry_days(writer)) == {days}, f"{days} days")  # type: ignore[misc]


def test_hours_are_spared_before_their_attempts_begin_to_go(writer: Client) -> None:
    apply_retention(writer, Settings())
    seal(writer, 90)
    now_s = read_marks(writer).now_us // 1_000_000
    apply_retention(writer, CHOSEN)
    spared_s = read_marks(writer).complete_from_s
    assert now_s - 7 * 24 * HOUR_S < spared_s <= now_s - 7 * 24 * HOUR_S + 3 * HOUR_S
    apply_retention(writer, Settings())
    assert read_marks(writer).complete_from_s == spared_s


def test_attempts_that_go_before_anybody_has_counted_them_are_counted_first(writer: Client) -> None:
    apply_retention(writer, Settings())
    for table in ("seals", "stats_by_topic", "stats_by_subscription"):
        writer.command(f"ALTER TABLE {table} DROP PARTITION ALL")
    rows = rows_of(42, 100, read_marks(writer).now_us // 1_000_000 - 20 * 24 * HOUR_S)
    store(writer, rows)
    apply_retention(writer, CHOSEN)
    counted = "SELECT sum(attempts) FROM stats_by_topic FINAL"
    assert writer.command(counted) == sum(row["kind"] == "attempt" for row in rows)
    seal(writer, CHOSEN.retention_days)
    assert writer.command(counted) == sum(row["kind"] == "attempt" for row in rows)
    apply_retention(writer, Settings())


def test_figures_cannot_be_kept_for_less_than_what_they_are_made_of() -> None:
    with pytest.raises(ValidationError, match="at least as long"):
        Settings(retention_days=90, retention_stats_days=30)
