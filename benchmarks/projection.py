"""How fast Kafka's records become rows: `make bench-projections`, two minutes on an idle machine.

Attempts are in Kafka already; the service's own writer reads them, makes rows, inserts them into the embedded engine
and commits. Beside it, in turns, the very same rows, made before, go into the same tables with nothing but
`raw_insert`. CPU is that of the process, engine included, Kafka's JVM not. Then attempts come at a steady rate, and of
some it is asked how long they take to be seen.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import uvloop
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from benchmarks.report import Report
from projections.app import USERS_CONFIG
from projections.migrate import migrate
from projections.writer.attempt_rows import attempt_json
from projections.writer.metrics import WriterMetrics
from projections.writer.records import Records
from projections.writer.rows import PROJECTIONS
from projections.writer.writer import Writer
from runtime.clickhouse import EmbeddedClickHouse
from runtime.embedded.broker_files import free_port
from runtime.embedded.kafka import EmbeddedKafka
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.attempt import Attempt, AttemptStatus, encode_attempt
from schemas.ids import delivery_id, new_id
from schemas.streams import ATTEMPTS, StreamNames

RECORDS = 100_000
SUBSCRIPTIONS = 200
ROUNDS = 3
BATCH = 5_000
"""Records of a bare insert: two rows each, as many as the writer's batches have."""

STORED = "hooklog_projections_rows_total"
RATE_PER_S = 200
PROBES = 60
SHARE = 0.7
SEEN_S = 2.0
ANSWER = "x" * 200


def made(number: int) -> Attempt:
    """An attempt of now, answered in a line or two."""
    event_id, subscription_id, now_ms = new_id(), f"subscription-{number % SUBSCRIPTIONS}", time.time_ns() // 1_000_000
    return Attempt(
        delivery_id=delivery_id(event_id, subscription_id, 7),
        event_id=event_id,
        subscription_id=subscription_id,
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=7,
        attempt=1 + number % 3,
        status=AttemptStatus.SUCCESS if number % 3 else AttemptStatus.RETRYING,
        received_ms=now_ms - 50,
        started_ms=now_ms - 20,
        duration_ms=10 + number % 50,
        response_status_code=200 if number % 3 else 503,
        response_body=ANSWER,
        target_url="https://hooks.example.com/orders",
    )


def outgoing(attempt: Attempt) -> Outgoing:
    """Its record."""
    return Outgoing(ATTEMPTS, encode_attempt(attempt), attempt.subscription_id.encode())


class Tables:
    """An engine, and how many rows it has."""

    def __init__(self, folder: Path) -> None:
        self.engine = EmbeddedClickHouse(folder / "clickhouse", USERS_CONFIG)
        self.engine.create_database()
        self.writer = self.engine.open_writer()
        migrate(self.writer)
        self.reader = self.engine.open_writer()  # the writer's thread has its own

    def attempts(self) -> int:
        """How many attempts are there, repeated ones as often as they are."""
        return int(self.reader.command("SELECT count() FROM attempts"))

    def empty(self) -> None:
        """Drops every row."""
        for table in ("attempts", "deliveries"):
            self.writer.command(f"ALTER TABLE {table} DROP PARTITION ALL")


@asynccontextmanager
async def writing(tables: Tables, settings: Settings) -> AsyncIterator[Callable[[], float]]:
    """The writer at work, once it has joined its group; tells how many attempts it has stored."""
    client = tables.engine.open_writer()
    streams = [projection.stream for projection in PROJECTIONS]

    async def nothing_lost(place: TopicPartition, first: int, then: int) -> None:
        raise AssertionError(f"{place} goes on at {then} instead of {first}")

    registry = CollectorRegistry()
    metrics = WriterMetrics(registry)
    writer = Writer(client, lambda on_revoked: Records(settings, streams, on_revoked, nothing_lost, None), metrics)
    running = asyncio.create_task(writer.run())
    try:
        while not writer.reading_works:
            await asyncio.sleep(0.01)
        yield lambda: registry.get_sample_value(STORED, {"table": "attempts"}) or 0.0
    finally:
        writer.stop()
        await running
        client.close()


def bare_s(tables: Tables, blocks: list[tuple[bytes, bytes]]) -> tuple[float, float]:
    """CPU and wall seconds of nothing but inserts."""
    gc.collect()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for attempts, deliveries in blocks:
        tables.writer.raw_insert("attempts", insert_block=attempts, fmt="JSONEachRow")
        tables.writer.raw_insert("deliveries", insert_block=deliveries, fmt="JSONEachRow")
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def blocks_of(attempts: list[Attempt]) -> list[tuple[bytes, bytes]]:
    """The rows of a bare insert, made before."""
    rows = [attempt_json(encode_attempt(attempt), number % 8, number) for number, attempt in enumerate(attempts)]
    pairs = [(row[0], row[1] or b"") for row in rows if row is not None]
    return [
        (b"\n".join(first for first, _ in part), b"\n".join(second for _, second in part))
        for part in (pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH))
    ]


async def fill(settings: Settings, attempts: list[Attempt]) -> None:
    """Makes streams of their own and appends the attempts."""
    await create_streams(settings)
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix), pace_s=0.005)
    await appender.start()
    for start in range(0, len(attempts), 1_000):
        await appender.append_all([outgoing(attempt) for attempt in attempts[start : start + 1_000]])
    await appender.stop()


async def writer_s(tables: Tables, settings: Settings, records: int) -> tuple[float, float]:
    """CPU and wall seconds of everything, from joining the group on."""
    gc.collect()
    async with writing(tables, settings) as stored:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        while stored() < records:
            await asyncio.sleep(0.05)
        return time.process_time() - cpu_s, time.perf_counter() - wall_s


async def throughput(report: Report, tables: Tables, bootstrap: str, records: int) -> None:
    """The writer and bare inserts, in turns."""
    attempts = [made(number) for number in range(records)]
    blocks = blocks_of(attempts)
    rows = 2 * records
    bare, full = [], []
    for number in range(ROUNDS + 1):
        settings = Settings(kafka_bootstrap=bootstrap, kafka_prefix=f"bench{number}.")
        await fill(settings, attempts)
        tables.empty()
        bare.append(bare_s(tables, blocks))
        tables.empty()
        full.append(await writer_s(tables, settings, records))
    del bare[0], full[0]  # they warmed up
    bare_cpu_s, full_cpu_s = (statistics.median(cpu_s for cpu_s, _ in found) for found in (bare, full))
    report.note("bare_rows_per_core_s", rows / bare_cpu_s)
    report.note("writer_rows_per_core_s", rows / full_cpu_s)
    report.note("writer_share_of_bare", bare_cpu_s / full_cpu_s, at_least=SHARE)
    report.note("bare_rows_s", rows / statistics.median(wall_s for _, wall_s in bare))
    report.note("writer_rows_s", rows / statistics.median(wall_s for _, wall_s in full))
    report.note("writer_cpu_us_per_record", full_cpu_s / records * 1e6)


async def lateness(report: Report, tables: Tables, bootstrap: str) -> None:
    """How long a row takes to be seen, while attempts come at a steady rate."""
    settings = Settings(kafka_bootstrap=bootstrap, kafka_prefix="late.")
    await create_streams(settings)
    tables.empty()
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await appender.start()
    seen_ms: list[float] = []

    async def flow() -> None:
        for number in range(1_000_000):
            await appender.append_surely(outgoing(made(number)))
            await asyncio.sleep(1 / RATE_PER_S)

    async with writing(tables, settings):
        flowing = asyncio.create_task(flow())
        while tables.attempts() == 0:
            await asyncio.sleep(0.05)
        for number in range(PROBES):
            attempt = made(number)
            await appender.append_surely(outgoing(attempt))
            query = f"SELECT count() FROM attempts WHERE delivery_id = '{attempt.delivery_id}'"  # noqa: S608 - our own id
            while not await asyncio.to_thread(tables.reader.command, query):
                await asyncio.sleep(0.01)
            seen_ms.append(time.time_ns() / 1e6 - attempt.started_ms)
        flowing.cancel()
    await appender.stop()
    report.note("seen_p50_ms", statistics.median(seen_ms))
    report.note("seen_max_ms", max(seen_ms), SEEN_S * 1_000)


async def measure(folder: Path, records: int) -> Report:
    """Everything, on a broker and an engine of its own."""
    report = Report()
    broker = EmbeddedKafka(folder, free_port())
    await broker.start()
    tables = Tables(folder)
    try:
        await throughput(report, tables, broker.bootstrap, records)
        await lateness(report, tables, broker.bootstrap)
    finally:
        tables.reader.close()
        tables.writer.close()
        await broker.stop()
    return report


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=RECORDS)
    records: int = parser.parse_args().records
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with (
        tempfile.TemporaryDirectory(prefix="hooklog-bench-", ignore_cleanup_errors=True) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        report = runner.run(measure(Path(folder), records))
    table = Table("what", "measured", "aim", title=f"{records:,} attempts, two rows each")
    for cells in report.rows():
        table.add_row(*cells)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
