"""What an audit of ten million attempts takes of ClickHouse: `make bench-audit`, four idle minutes.

What it waits for, the projections and Kafka, is no part of it. Thirty days are generated, and read as one window.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.generated import generate
from benchmarks.queries import merge_closed_weeks, took_ms
from benchmarks.report import Report
from projections.app import USERS_CONFIG
from projections.audit.auditor import AUDIT_SETTINGS, WATCH_SETTINGS
from projections.audit.coverage import TABLES, Extent, Place, read_coverage
from projections.audit.facts import read_replays, read_told
from projections.audit.rollups import read_rollups
from projections.audit.sums import read_sums
from projections.audit.suspects import Some, look_at_deliveries, look_at_events, read_progress
from projections.audit.window import SLOT_MS, Window
from projections.migrate import migrate
from projections.sealing.seal import seal
from runtime.clickhouse import Client, EmbeddedClickHouse

ATTEMPTS_MADE = 10_000_000
TIMES = 3
AIM_S = 5.0
RETENTION_DAYS = 90


def steps_of(client: Client, window: Window, extents: dict[Place, Extent]) -> dict[str, Callable[[], object]]:
    """Every question of an audit that finds nothing wrong, in its order."""
    return {
        "sums": lambda: read_sums(client, window, window.since_ms),
        "offsets": lambda: [read_coverage(client, stream, extents) for stream in TABLES],
        "hourly_figures": lambda: read_rollups(client, window),
        "others": lambda: [read_replays(client, window), read_told(client, window), read_progress(client, 0)],
    }


def extents_of(client: Client) -> dict[Place, Extent]:
    """The offsets that the log would have, if it held the rows of the tables."""
    found: dict[Place, Extent] = {}
    for stream, table in TABLES.items():
        rows = client.query(f"SELECT _partition, max(_offset) FROM {table} GROUP BY _partition").result_rows  # noqa: S608 - ours
        found |= {(stream, int(partition)): Extent(0, int(last) + 1) for partition, last in rows}
    # The generated offsets of attempts have gaps, which cost what real ones do not.
    return {place: extent for place, extent in found.items() if place[0] != "attempts"}


def note_closer_look(report: Report, client: Client, window: Window) -> None:
    """Ten minutes that do not add up."""
    first = window.since_ms // SLOT_MS + 1
    slots = list(range(first, first + 10))
    narrow, some, progress = window.of_slots(slots), Some.of_slots(slots), read_progress(client, 0)
    looks = [lambda: look_at_events(client, narrow, some, progress), lambda: look_at_deliveries(client, narrow, some)]
    report.note("closer_look_at_10_minutes_s", sum(took_ms(look) for look in looks) / 1000)


def measure(folder: Path, attempts: int) -> Report:
    """Generates, then audits."""
    report = Report()
    engine = EmbeddedClickHouse(folder / "clickhouse", USERS_CONFIG)
    engine.create_database()
    writer = engine.open_writer()
    migrate(writer)
    now_ms = time.time_ns() // 1_000_000
    traffic = generate(writer, attempts, now_ms)
    merge_closed_weeks(writer)
    seal(writer, RETENTION_DAYS)
    (oldest,) = writer.query("SELECT min(toUnixTimestamp64Milli(received_at)) FROM events").result_rows[0]
    window = Window(int(oldest), traffic.until_ms)
    for name, limits in (("two_threads", AUDIT_SETTINGS), ("one_thread", WATCH_SETTINGS)):
        client = engine.open_reader(limits)
        sums = read_sums(client, window, window.since_ms)
        assert not sums.uneven
        assert sums.figures["attempts"] == traffic.attempts
        times = {
            step: statistics.median(took_ms(ask) / 1000 for _ in range(TIMES))
            for step, ask in steps_of(client, window, extents_of(client)).items()
        }
        report.note(f"audit_{name}_s", sum(times.values()), AIM_S if limits is AUDIT_SETTINGS else None)
        for step, took_s in times.items():
            report.note(f"audit_{name}_{step}_s", took_s)
        note_closer_look(report, client, window)
        client.close()
    writer.close()
    return report


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=ATTEMPTS_MADE, help="how many are generated, a multiple of 300")
    attempts: int = parser.parse_args().attempts
    with tempfile.TemporaryDirectory(prefix="hooklog-bench-") as folder:
        report = measure(Path(folder), attempts)
    table = Table("what", "measured", "aim", title=f"An audit of {attempts:,} attempts")
    for cells in report.rows():
        table.add_row(*cells)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
