"""What questions take over ten million attempts, beside a full scan: `make bench-queries`, four idle minutes.

The questions are those of the query API, asked through its own functions and limits. A full scan has the same rows to
find, and neither sort key, index nor hourly figures to find them with.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.generated import DAYS, SUBSCRIPTIONS, Traffic, generate
from benchmarks.report import Report
from projections.app import USERS_CONFIG
from projections.migrate import migrate
from projections.query.filters import conditions_of
from projections.query.listing import ATTEMPTS, read_page, start_of
from projections.query.parameters import AttemptsQuestion, StatsQuestion
from projections.query.readers import LOG_SETTINGS, STATS_SETTINGS
from projections.query.stats import read_stats, stats_key
from projections.query.timeline import read_timeline
from projections.sealing.seal import seal
from runtime.clickhouse import Client, EmbeddedClickHouse

ATTEMPTS_MADE = 10_000_000
TIMES = 25
SCANS = 2
RETENTION_DAYS = 90
SCAN_SETTINGS = LOG_SETTINGS | {"max_execution_time": 120, "max_memory_usage": 4_000_000_000}


def took_ms(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return (time.perf_counter() - start) * 1000


def note(
    report: Report, name: str, times_ms: Sequence[float], aim_ms: float | None, scan: Callable[[], object]
) -> None:
    """Writes down the median, the slowest of twenty, and how many times as long a full scan takes."""
    middle = statistics.median(times_ms)
    report.note(f"{name}_p50_ms", middle, aim_ms)
    report.note(f"{name}_p95_ms", statistics.quantiles(times_ms, n=20)[-1])
    scan_ms = min(took_ms(scan) for _ in range(SCANS))
    report.note(f"{name}_full_scan_ms", scan_ms)
    report.note(f"{name}_full_scan_times", scan_ms / middle)


def note_pages(report: Report, reader: Client, scanner: Client, traffic: Traffic) -> None:
    """A page of the attempts of a subscription, of the last seven days."""

    def page(number: int) -> None:
        question = AttemptsQuestion(since="-7d", subscription_id=f"subscription-{number}")
        start = start_of("attempts", question, ATTEMPTS.key, traffic.until_ms)
        found = read_page(reader, ATTEMPTS, question, start, conditions_of(question))
        assert found.rows

    def scan() -> None:
        scanner.query(
            "SELECT * FROM attempts FINAL WHERE identity(subscription_id) = 'subscription-7'"
            " AND identity(started_at) >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
            " ORDER BY started_at DESC, event_id DESC LIMIT 51",
            parameters={"since": traffic.until_ms - 7 * 86_400_000},
        )

    page(1)
    times = [took_ms(lambda number=number: page(number * 71 % SUBSCRIPTIONS)) for number in range(TIMES)]  # type: ignore[misc]
    note(report, "subscription_page_of_7_days", times, 30, scan)


def note_timelines(report: Report, reader: Client, scanner: Client, traffic: Traffic) -> None:
    """Everything that happened to an event."""
    rows = scanner.query(
        f"SELECT event_id FROM events FINAL ORDER BY sipHash64(event_id) LIMIT {TIMES + 1}"  # noqa: S608 - a number
    ).result_rows
    first, *others = [event_id for (event_id,) in rows]

    def timeline(event_id: str) -> None:
        found = read_timeline(reader, event_id)
        assert found is not None
        assert len(found["deliveries"]) == 2

    def scan() -> None:
        for table in ("events", "dispatches", "deliveries", "attempts"):
            query = f"SELECT * FROM {table} FINAL WHERE identity(event_id) = {{id:String}}"  # noqa: S608 - ours
            scanner.query(query, parameters={"id": first}, column_formats={"payload": "bytes"})

    assert traffic.events > TIMES
    timeline(first)
    note(report, "event_timeline", [took_ms(lambda one=one: timeline(one)) for one in others], 30, scan)  # type: ignore[misc]


def note_overviews(report: Report, reader: Client, scanner: Client, traffic: Traffic) -> None:
    """Thirty days by the hour: of all together, and of one subscription."""

    def overview(subscription_id: str | None = None) -> None:
        question = StatsQuestion(since=f"-{DAYS}d", limit=1_000, subscription_id=subscription_id)
        start = start_of("stats", question, stats_key(None), traffic.until_ms, DAYS * 86_400_000)
        rows = read_stats(reader, None, question, start, traffic.until_ms)["data"]
        assert subscription_id or sum(row["attempts"] for row in rows) == traffic.attempts

    def scan(where: str = "1") -> None:
        scanner.query(
            "SELECT toStartOfHour(started_at) AS at, countIf(kind = 'attempt'), countIf(status = 'SUCCESS'),"  # noqa: S608 - ours
            " countIf(attempt > 1), quantilesExactWeightedIf(0.5, 0.95, 0.99)(duration_ms, 1, kind = 'attempt'),"
            " uniqExactIf(delivery_id, status = 'SUCCESS'), uniqExactIf(delivery_id, status = 'FAILED')"
            f" FROM attempts FINAL WHERE {where} GROUP BY at ORDER BY at"
        )

    overview()
    note(report, "overview_of_30_days_by_hour", [took_ms(overview) for _ in range(TIMES)], 200, scan)
    times = [took_ms(lambda number=number: overview(f"subscription-{number * 71}")) for number in range(TIMES)]  # type: ignore[misc]
    note(
        report,
        "one_subscription_30_days_by_hour",
        times,
        None,
        lambda: scan("identity(subscription_id) = 'subscription-7'"),
    )


def note_sealing(report: Report, writer: Client) -> None:
    """What the first pass takes, over everything, and what later ones do, over the hour that goes on."""
    report.note("first_sealing_s", took_ms(lambda: seal(writer, RETENTION_DAYS)) / 1000)
    go_on(writer)
    report.note(
        "sealing_of_one_hour_ms", statistics.median(took_ms(lambda: seal(writer, RETENTION_DAYS)) for _ in range(5))
    )


def go_on(writer: Client) -> None:
    """Stores the last hour again, as if it were being written: it is not sealed for the next three minutes."""
    writer.command(
        "INSERT INTO attempts SELECT * REPLACE (now64(3) AS _ingested_at) FROM attempts"
        " WHERE started_at >= (SELECT toStartOfHour(max(started_at)) FROM attempts)"
    )


def merge_closed_weeks(writer: Client) -> None:
    """Makes each closed week one part, as the engine does by itself a day after its end."""
    closed = writer.query(
        "SELECT DISTINCT table, partition_id FROM system.parts WHERE database = currentDatabase() AND active"
        " AND table IN ('events', 'dispatches', 'deliveries', 'attempts') AND max_time < toMonday(now())"
    ).result_rows
    for table, partition in closed:
        writer.command(f"OPTIMIZE TABLE {table} PARTITION ID '{partition}' FINAL")


def traffic_in(writer: Client, report: Report, attempts: int) -> Traffic:
    """What is there already, or else is generated."""
    count, last_ms = writer.query("SELECT count(), toUnixTimestamp64Milli(max(received_at)) FROM events").result_rows[0]
    if count:
        return Traffic(count, last_ms + 1)
    start = time.perf_counter()
    traffic = generate(writer, attempts, time.time_ns() // 1_000_000)
    report.note("generating_s", time.perf_counter() - start)
    merge_closed_weeks(writer)
    return traffic


def measure(folder: Path, attempts: int) -> Report:
    """Generates, then asks."""
    report = Report()
    engine = EmbeddedClickHouse(folder / "clickhouse", USERS_CONFIG)
    engine.create_database()
    writer = engine.open_writer()
    migrate(writer)
    traffic = traffic_in(writer, report, attempts)
    report.note("attempts", traffic.attempts)
    note_sealing(report, writer)
    reader, figures, scanner = (engine.open_reader(limits) for limits in (LOG_SETTINGS, STATS_SETTINGS, SCAN_SETTINGS))
    note_pages(report, reader, scanner, traffic)
    note_timelines(report, reader, scanner, traffic)
    go_on(writer)
    note_overviews(report, figures, scanner, traffic)
    for client in (reader, figures, scanner, writer):
        client.close()
    return report


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=ATTEMPTS_MADE, help="how many are generated, a multiple of 10")
    parser.add_argument("--folder", type=Path, help="where the data are kept, and used the next time")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hooklog-bench-") as folder:
        report = measure(asked.folder or Path(folder), asked.attempts)
    table = Table("what", "measured", "aim", title=f"{SUBSCRIPTIONS:,} subscriptions, {DAYS} days, two threads a query")
    for cells in report.rows():
        table.add_row(*cells)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
