"""The hourly figures are those of an independent count, whoever seals, however rows come, and whatever expired."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from projections.sealing.durations import COUNTED_AT, MAX_ERROR, counted_at
from projections.sealing.marks import read_marks, unsealed_hours
from projections.sealing.seal import HOUR_S, _empty_former, seal
from projections.sealing.sealer import Sealer
from runtime.clickhouse import Client, EmbeddedClickHouse
from tests.attempt_books import Row, counted, rows_of, store
from tests.clickhouse_fixture import engine
from tests.clickhouse_fixture import writer as empty_writer

__all__ = ["empty_writer", "engine"]

DAYS = 90
LONGEST_MS = 2**32 - 1
FIGURES = "attempts, successes, failures, retries, ended_success, ended_failed, ended_cancelled, durations"


@pytest.fixture
def writer(empty_writer: Client) -> Client:
    for table in ("stats_by_subscription", "stats_by_topic", "seals"):
        empty_writer.command(f"ALTER TABLE {table} DROP PARTITION ALL")
    return empty_writer


def stored(client: Client, table: str, *keys: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    columns = ", ".join(keys)
    query = f"SELECT toUnixTimestamp(hour), {columns}, {FIGURES} FROM {table} FINAL"  # noqa: S608 - the test's own
    rows = client.query(query).result_rows
    found = {tuple(row[: len(keys) + 1]): tuple(row[len(keys) + 1 :]) for row in rows}
    return {group: values for group, values in found.items() if any(values[:-1])}


def assert_exact(client: Client, rows: Sequence[Row]) -> None:
    for table, keys in (
        ("stats_by_subscription", ("subscription_id", "topic_id")),
        ("stats_by_topic", ("topic_id", "source_id", "event_type")),
    ):
        expected = {group: values for group, values in counted(rows, *keys).items() if any(values[:-1])}
        assert stored(client, table, *keys) == expected


def now_s_of(client: Client) -> int:
    return read_marks(client).now_us // 1_000_000


@given(st.integers(0, LONGEST_MS))
def test_a_duration_is_counted_near_to_itself_and_durations_keep_their_order(duration_ms: int) -> None:
    counted_ms = counted_at(duration_ms)
    assert abs(counted_ms - duration_ms) <= (duration_ms * MAX_ERROR if duration_ms >= 64 else 0)
    assert counted_at(counted_ms) == counted_ms
    assert duration_ms == LONGEST_MS or counted_at(duration_ms + 1) >= counted_ms


def test_clickhouse_counts_a_duration_where_the_rule_says(writer: Client) -> None:
    edges = {max(0, (1 << bits) + off) for bits in range(33) for off in (-2, -1, 0, 1)} | set(range(5_000))
    tried = sorted(edge for edge in edges if edge <= LONGEST_MS)
    query = f"SELECT {COUNTED_AT} FROM (SELECT arrayJoin({{tried:Array(UInt32)}}) AS duration_ms)"  # noqa: S608 - ours
    assert [row[0] for row in writer.query(query, parameters={"tried": tried}).result_rows] == [
        counted_at(edge) for edge in tried
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_sealing_as_rows_arrive_late_twice_and_in_any_order_ends_with_the_books(writer: Client, seed: int) -> None:
    chance = random.Random(seed)
    rows = rows_of(seed, 600, now_s_of(writer))
    arriving = chance.sample(rows, len(rows)) + chance.sample(rows, len(rows) // 3)
    for start in range(0, len(arriving), 150):
        store(writer, arriving[start : start + 150])
        if chance.random() < 0.7:
            seal(writer, DAYS)
            assert_exact(writer, arriving[: start + 150])
    seal(writer, DAYS)
    assert_exact(writer, rows)


def test_of_two_that_seal_at_once_the_older_reading_never_stays(writer: Client) -> None:
    rows = rows_of(3, 300, now_s_of(writer))
    store(writer, rows[::2])
    others: list[object] = []

    def overtaken() -> bool:
        """Before the first hour is read, another one stores rows, and seals from beginning to end."""
        if not others:
            others.append(True)
            store(writer, rows[1::2])
            others.append(seal(writer, DAYS))
        return True

    slower = seal(writer, DAYS, go_on=overtaken)
    assert slower is not None
    assert_exact(writer, rows)
    # What the slower one wrote later is older: it is not what is read, and its mark is not the one that holds.
    (marked,) = writer.query("SELECT toUnixTimestamp64Micro(max(mark)) FROM seals").result_rows[0]
    assert marked > slower.mark_us


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_pass_that_ends_anywhere_leaves_no_mark_and_is_done_again(writer: Client, steps: int) -> None:
    rows = rows_of(4, 200, now_s_of(writer))
    left = iter([True] * steps)
    store(writer, rows)
    assert seal(writer, DAYS, go_on=lambda: next(left, False)) is None
    assert read_marks(writer).mark_s == 0
    seal(writer, DAYS)
    assert_exact(writer, rows)


def test_who_comes_right_after_another_has_nothing_to_do(writer: Client) -> None:
    store(writer, rows_of(5, 20, now_s_of(writer)))
    assert seal(writer, DAYS, at_least_s=60) is not None
    assert seal(writer, DAYS, at_least_s=60) is None
    assert seal(writer, DAYS) is not None


def test_hours_that_nothing_was_written_to_are_not_computed_again(writer: Client) -> None:
    store(writer, rows_of(6, 100, now_s_of(writer)))
    first = seal(writer, DAYS)
    assert first is not None
    assert first.hours > 10
    long_ago = read_marks(writer)._replace(since_s=now_s_of(writer) + 1)
    assert unsealed_hours(writer, long_ago, 0) == []


def test_what_has_expired_is_never_computed_to_less_not_even_when_more_is_kept_again(writer: Client) -> None:
    now_s = now_s_of(writer)
    old = rows_of(7, 200, now_s - 20 * 24 * HOUR_S)
    store(writer, old)
    seal(writer, DAYS)
    before = stored(writer, "stats_by_topic", "topic_id")
    seal(writer, 10)  # from now on less is kept
    writer.command("ALTER TABLE attempts DROP PARTITION ALL")
    late = old[0] | {"_offset": 999}
    store(writer, [late])
    for days in (10, DAYS):
        seal(writer, days)
        assert stored(writer, "stats_by_topic", "topic_id") == before


def test_another_table_of_attempts_in_the_place_of_the_first_is_counted_from_the_beginning(writer: Client) -> None:
    rows = rows_of(8, 200, now_s_of(writer))
    store(writer, rows)
    seal(writer, DAYS)
    rebuilt = [row | {"_ingested_at": 1_700_000_000} for row in rows[20:]] + rows_of(9, 50, now_s_of(writer))
    rebuilt = [row | {"_offset": number} for number, row in enumerate(rebuilt)]
    writer.command("CREATE TABLE others AS attempts")
    store(writer, rebuilt, "others")

    def exchanged() -> bool:
        """In the middle of a pass."""
        if writer.query("EXISTS TABLE others").result_rows[0][0]:
            writer.command("EXCHANGE TABLES attempts AND others")
            writer.command("DROP TABLE others SYNC")
        return True

    seal(writer, DAYS, go_on=exchanged)
    assert read_marks(writer).mark_s == 0
    another = read_marks(writer)
    seal(writer, DAYS)
    _empty_former(writer, another)  # one that began before, got no further than this, and died
    assert_exact(writer, rebuilt)


def test_no_hour_is_without_figures_while_those_of_another_table_are_computed(writer: Client) -> None:
    rows = rows_of(11, 300, now_s_of(writer))
    store(writer, rows)
    seal(writer, DAYS)
    before = stored(writer, "stats_by_topic", "topic_id", "source_id", "event_type")
    writer.command("CREATE TABLE others AS attempts")
    store(writer, rows, "others")
    writer.command("EXCHANGE TABLES attempts AND others")
    writer.command("DROP TABLE others SYNC")

    def as_before() -> bool:
        return stored(writer, "stats_by_topic", "topic_id", "source_id", "event_type") == before

    assert seal(writer, DAYS, go_on=as_before) is not None
    assert as_before()


def test_what_cannot_be_read_now_is_sealed_when_it_can(engine: EmbeddedClickHouse, writer: Client) -> None:
    rows = rows_of(10, 50, now_s_of(writer))
    store(writer, rows)
    registry = CollectorRegistry()
    sealer = Sealer(engine.open_writer, DAYS, registry)
    writer.command("RENAME TABLE attempts TO attempts_away")
    sealer._pass()
    assert registry.get_sample_value("hooklog_projections_seal_failures_total") == 1
    writer.command("RENAME TABLE attempts_away TO attempts")
    sealer._pass()
    assert (registry.get_sample_value("hooklog_projections_seal_hours_total") or 0) > 10
    assert_exact(writer, rows)
    sealer._close()
