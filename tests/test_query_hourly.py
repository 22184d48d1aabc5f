"""Figures of long spans are those of the attempts, whatever of them is sealed, and none is counted twice."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from projections.query.hourly import EXACT_MS, hourly_figures
from projections.query.listing import start_of
from projections.query.parameters import OverviewQuestion, StatsQuestion
from projections.query.readers import STATS_SETTINGS
from projections.query.span import span_of
from projections.query.stats import read_overview, read_stats, stats_key
from projections.query.step import step_of
from projections.sealing.durations import MAX_ERROR
from projections.sealing.marks import read_marks
from projections.sealing.seal import seal
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.headers import rfc3339
from tests.attempt_books import HOUR_S, Row, figures, rows_of, store
from tests.clickhouse_fixture import engine
from tests.clickhouse_fixture import writer as empty_writer

__all__ = ["empty_writer", "engine"]

DAYS = 90
HOURS = 120
WEEK_S = 7 * 24 * HOUR_S
Stored = tuple[Client, list[Row], int]


@pytest.fixture
def writer(empty_writer: Client) -> Client:
    for table in ("stats_by_subscription", "stats_by_topic", "seals"):
        empty_writer.command(f"ALTER TABLE {table} DROP PARTITION ALL")
    return empty_writer


@pytest.fixture(params=["nothing", "half", "all, and more since"])
def stored(request: pytest.FixtureRequest, engine: EmbeddedClickHouse, writer: Client) -> Iterator[Stored]:
    """A reader, the rows that are stored, and the time; more or less of them is sealed."""
    now_s = read_marks(writer).now_us // 1_000_000
    rows = rows_of(21, 700, now_s, HOURS)
    store(writer, rows[::2])
    if request.param != "nothing":
        seal(writer, DAYS)
    store(writer, rows[1::2])
    if request.param.startswith("all"):
        seal(writer, DAYS)
    store(writer, rows[::5])  # again
    reader = engine.open_reader(STATS_SETTINGS)
    yield reader, rows, now_s
    reader.close()


def ask(stored: Stored, column: str | None, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of figures of ten days."""
    reader, _, now_s = stored
    question, rows, cursor = StatsQuestion(since="-10d", **parameters), [], None
    while True:
        asked = question.model_copy(update={"cursor": cursor})
        start = start_of("stats", asked, stats_key(column), now_s * 1000)
        page = read_stats(reader, column, asked, start, now_s * 1000)
        rows += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


def books(rows: Sequence[Row], beginning: Callable[[int], int], column: str | None) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[beginning(row["started_at"]), column and row[column]].append(row)
    return groups


def assert_figures(shown: dict[str, Any], rows: Sequence[Row]) -> None:
    made, good, bad, retries, *_ = figures(rows)
    assert [shown[name] for name in ("attempts", "successes", "failures", "retries")] == [made, good, bad, retries]
    durations = sorted(row["duration_ms"] for row in rows if row["kind"] == "attempt")
    for share, name in ((0.5, "p50_ms"), (0.95, "p95_ms"), (0.99, "p99_ms")):
        if not durations:
            assert shown[name] is None
            continue
        exact_ms = durations[math.ceil(share * made) - 1]
        assert abs(shown[name] - exact_ms) <= exact_ms * MAX_ERROR


def ends_of(rows: Sequence[Row], state: str) -> int:
    """Each delivery once an hour."""
    return len({(row["delivery_id"], row["started_at"] // HOUR_S) for row in rows if row["status"] == state})


def test_figures_of_a_long_span_are_those_of_the_books_by_any_step(stored: Stored) -> None:
    for column in ("subscription_id", "topic_id", None):
        for step in ("hour", "7200", "day", "week"):
            assert_as_in_the_books(stored, column, step)


def assert_as_in_the_books(stored: Stored, column: str | None, step: str) -> None:
    length_s, first_s = step_of(step).length_s, 4 * 24 * HOUR_S if step == "week" else 0
    expected = books(stored[1], lambda at_s: (at_s - first_s) // length_s * length_s + first_s, column)
    shown = ask(stored, column, step=step, limit=200, order="asc")
    keys = [(row["at"], column and row[column]) for row in shown]
    assert keys == sorted((rfc3339(at_s * 1000), name) for at_s, name in expected)
    for row, (_, rows) in zip(shown, sorted(expected.items()), strict=True):
        assert_figures(row, rows)
        assert row["deliveries"] == {state: ends_of(rows, state) for state in ("SUCCESS", "FAILED", "CANCELLED")}


def test_both_filters_narrow_figures_of_either_kind(stored: Stored) -> None:
    wanted = [row for row in stored[1] if row["subscription_id"] == "all" and row["topic_id"] == "refunds"]
    for column in ("subscription_id", "topic_id", None):
        shown = ask(stored, column, step="week", subscription_id="all", topic_id="refunds")
        assert sum(row["attempts"] for row in shown) == figures(wanted)[0]


def test_totals_of_a_long_span_have_only_what_is_in_it(stored: Stored) -> None:
    reader, rows, now_s = stored
    since_ms, until_ms = now_s * 1000 - 4 * 24 * HOUR_S * 1000 + 1_234_567, now_s * 1000 - 20 * HOUR_S * 1000 - 987_654
    assert until_ms - since_ms > EXACT_MS
    span = span_of(str(since_ms), str(until_ms), now_s * 1000)
    totals = read_overview(reader, OverviewQuestion(), span, now_s * 1000)
    assert_figures(totals, [row for row in rows if since_ms <= row["started_at"] * 1000 < until_ms])


def test_hours_whose_attempts_have_expired_are_still_there(engine: EmbeddedClickHouse, writer: Client) -> None:
    now_s = read_marks(writer).now_us // 1_000_000
    rows = rows_of(22, 200, now_s - 5 * 24 * HOUR_S)
    store(writer, rows)
    seal(writer, DAYS)
    seal(writer, 3)
    writer.command("ALTER TABLE attempts DROP PARTITION ALL")
    reader = engine.open_reader(STATS_SETTINGS)
    shown = ask((reader, rows, now_s), None, step="week")
    assert sum(row["attempts"] for row in shown) == figures(rows)[0]
    reader.close()


def test_another_table_of_attempts_takes_no_expired_hour_away_and_brings_none_twice(
    engine: EmbeddedClickHouse, writer: Client
) -> None:
    now_s = read_marks(writer).now_us // 1_000_000
    expired, rows = rows_of(23, 200, now_s - 5 * 24 * HOUR_S), rows_of(24, 200, now_s)
    store(writer, [*expired, *(row | {"_offset": 1_000 + row["_offset"]} for row in rows)])
    seal(writer, DAYS)
    seal(writer, 3)
    writer.command("CREATE TABLE others AS attempts")
    store(writer, rows[20:], "others")
    writer.command("EXCHANGE TABLES attempts AND others")
    writer.command("DROP TABLE others SYNC")
    reader = engine.open_reader(STATS_SETTINGS)
    expected = figures([*expired, *rows[20:]])[0]
    totals = []

    def look() -> bool:
        """Before the pass, and before each of its steps."""
        totals.append(sum(row["attempts"] for row in ask((reader, rows, now_s), None, step="week")))
        return True

    seal(writer, 3, go_on=look)
    look()
    assert set(totals) == {expected}
    reader.close()


def test_before_the_first_sealing_there_are_no_hourly_figures(writer: Client) -> None:
    assert hourly_figures(writer, span_of("-10d", None, WEEK_S * 1000 * 3000), None, []) is None
