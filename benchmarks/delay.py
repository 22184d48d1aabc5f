"""How late the delay service is with 200,000 deliveries waiting, and what a hop costs.

    python -m benchmarks.delay [--waiting N] [--window-s S] [--body-bytes B] [--json]

A real broker, a real service in a process of its own, and a reader that knows nothing of it: it counts what comes to
`deliveries` and how long after its due time the broker stored it. Nothing else should run meanwhile.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from processors.delay.service import DelayService
from rules.ladder import Ladder
from runtime.embedded.broker_files import free_port
from runtime.embedded.kafka import EmbeddedKafka
from runtime.kafka import Appender, EndOffsets, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.delivery import Delivery, encode_delivery
from schemas.streams import DELIVERIES, PARK_TIERS, RETRY_TIERS, StreamNames

NAMES = StreamNames("bench.")
PARTITIONS = 8
LADDER, PARKING = Ladder(RETRY_TIERS), Ladder(PARK_TIERS)
SUBSCRIPTIONS = 500
FILL_PER_S = 2_000
"""What failed together comes through the streams together: this is how fast an outage fills them."""

FILL_MARGIN_S = 20.0
FILL_CHUNK = 1_000
SAMPLE_S = 1.0
MIB = 1_048_576


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Books:
    """What the independent reader saw, and what was measured of the processes meanwhile."""

    lateness_ms: list[int] = field(default_factory=list)
    seen: Counter[bytes] = field(default_factory=Counter)
    peak_memory_mib: float = 0.0
    most_waiting: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def read(self, value: dict[str, bytes], stored_ms: int) -> None:
        self.lateness_ms.append(stored_ms - int(value["hl-due-ms"]))
        self.seen[value["hl-delivery-id"]] += 1
        self.first_ms = self.first_ms or stored_ms
        self.last_ms = stored_ms


async def _lost(*missing: object) -> None:
    raise RuntimeError(f"nothing expires here: {missing}")


async def serve(bootstrap: str) -> None:
    """The service as a worker runs it, until SIGTERM."""
    stop, crashes = asyncio.Event(), list[BaseException]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    appender = Appender(bootstrap, NAMES)
    service = DelayService(
        bootstrap=bootstrap,
        names=NAMES,
        group="bench.delay",
        ladders=(LADDER, PARKING),
        appender=appender,
        session_timeout_s=30,
        instance_id="",
        now_ms=now_ms,
        on_crash=crashes.append,
        on_lost=_lost,
    )
    await appender.start()
    await service.start()
    await stop.wait()
    await service.stop()
    await appender.stop()
    if crashes:
        raise crashes[0]


def delivery(number: int, due_ms: int, body: bytes) -> Delivery:
    return Delivery(
        delivery_id=f"{number:032x}",
        event_id=f"e{number}",
        subscription_id=f"s{number % SUBSCRIPTIONS}",
        topic_id="topic",
        source_id="source",
        event_type="order.created",
        generation=1,
        config_version=1,
        received_ms=now_ms(),
        body=body,
        attempt=2,
        due_ms=due_ms,
        reason="http_503",
    )


async def fill(bootstrap: str, asked: argparse.Namespace, begin_ms: int) -> None:
    """Appends what will be due, evenly but in no order, in the window that begins at `begin_ms`."""
    luck, body = random.Random(1), b"x" * asked.body_bytes
    appender = Appender(bootstrap, NAMES, pace_s=0.005)
    await appender.start()
    began = time.monotonic()
    for first in range(0, asked.waiting, FILL_CHUNK):
        records = []
        for number in range(first, min(first + FILL_CHUNK, asked.waiting)):
            item = delivery(number, begin_ms + luck.randrange(round(asked.window_s * 1_000)), body)
            tier = LADDER.next_tier(item.due_ms - now_ms()) or RETRY_TIERS[0]
            records.append(Outgoing(tier, item.body, item.subscription_id.encode(), encode_delivery(item)))
        await appender.append_all(records)
        await asyncio.sleep(max(0.0, began + (first + FILL_CHUNK) / FILL_PER_S - time.monotonic()))
    await appender.stop()


async def read(bootstrap: str, asked: argparse.Namespace, books: Books, limit_s: float) -> None:
    """Reads `deliveries` until each one has come."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(NAMES(DELIVERIES), number) for number in range(PARTITIONS)])
    try:
        async with asyncio.timeout(limit_s):
            while len(books.seen) < asked.waiting:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        books.read(dict(record.headers), record.timestamp)
    except TimeoutError:
        pass  # what is missing is in the table
    finally:
        await consumer.stop()


async def watch(process: psutil.Process, books: Books) -> None:
    while True:
        books.peak_memory_mib = max(books.peak_memory_mib, process.memory_info().rss / MIB)
        await asyncio.sleep(SAMPLE_S)


async def appends(bootstrap: str) -> int:
    """How many records stand in all streams that the service writes to."""
    ends = EndOffsets(bootstrap)
    await ends.start()
    streams = (*RETRY_TIERS, *PARK_TIERS, DELIVERIES)
    found = await ends.of(TopicPartition(NAMES(stream), number) for stream in streams for number in range(PARTITIONS))
    await ends.stop()
    return sum(found.values())


def cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


async def measure(asked: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Fills, waits, reads; the figures by name, with the unit in the name."""
    broker = EmbeddedKafka(folder, free_port())
    await broker.start()
    settings = Settings(kafka_bootstrap=broker.bootstrap, kafka_prefix="bench.", partitions=PARTITIONS)
    await create_streams(settings)
    command = [sys.executable, "-m", "benchmarks.delay", "--serve", broker.bootstrap]
    child = subprocess.Popen(command)  # noqa: ASYNC220 - one moment, before anything is measured
    service, jvm, books = psutil.Process(child.pid), psutil.Process(broker.pid), Books()
    watching = asyncio.create_task(watch(service, books))
    try:
        fill_s = asked.waiting / FILL_PER_S + FILL_MARGIN_S
        begin_ms = now_ms() + round(fill_s * 1_000)
        reading = asyncio.create_task(read(broker.bootstrap, asked, books, fill_s + asked.window_s + 120))
        await fill(broker.bootstrap, asked, begin_ms)
        books.most_waiting = asked.waiting - len(books.seen)
        await asyncio.sleep(max(0.0, begin_ms - now_ms()) / 1_000)
        used_s, jvm_s, before = cpu_s(service), cpu_s(jvm), await appends(broker.bootstrap)
        await reading
        hops = await appends(broker.bootstrap) - before
        return figures(asked, books) | {
            "hops": hops,
            "hops_per_s": hops / asked.window_s,
            "hops_per_delivery": hops / asked.waiting,
            "service_cpu_us_per_hop": (cpu_s(service) - used_s) / hops * 1e6,
            "kafka_cpu_us_per_hop": (cpu_s(jvm) - jvm_s) / hops * 1e6,
            "service_cpu_share": (cpu_s(service) - used_s) / asked.window_s,
            "service_peak_memory_MiB": books.peak_memory_mib,
        }
    finally:
        watching.cancel()
        child.terminate()
        child.wait(60)
        await broker.stop()


def figures(asked: argparse.Namespace, books: Books) -> dict[str, float]:
    cuts = statistics.quantiles(books.lateness_ms, n=1_000)
    return {
        "waiting": books.most_waiting,
        "released": len(books.seen),
        "missing": asked.waiting - len(books.seen),
        "repeated": books.seen.total() - len(books.seen),
        "early": sum(late < 0 for late in books.lateness_ms),
        "released_per_s": len(books.seen) / max((books.last_ms - books.first_ms) / 1_000, 0.001),
        "lateness_p50_ms": cuts[499],
        "lateness_p90_ms": cuts[899],
        "lateness_p99_ms": cuts[989],
        "lateness_p99.9_ms": cuts[998],
        "lateness_max_ms": max(books.lateness_ms),
    }


def show(found: dict[str, float]) -> None:
    table = Table("what", "measured", title="The delay service, one machine")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}".removesuffix(".00"))
    Console(width=80).print(table)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delay", description=__doc__)
    parser.add_argument("--waiting", type=int, default=200_000)
    parser.add_argument("--window-s", type=float, default=300.0, help="over which they are due")
    parser.add_argument("--body-bytes", type=int, default=1_024)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", default="", metavar="BOOTSTRAP", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(asked.serve))
        return
    with tempfile.TemporaryDirectory(prefix="hooklog-bench-") as folder:
        found = asyncio.run(measure(asked, Path(folder)))
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        show(found)


if __name__ == "__main__":
    main()
