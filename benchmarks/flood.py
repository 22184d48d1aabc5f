"""What a million deliveries that wait for one dead endpoint cost the worker, and another endpoint's retries.

    python -m benchmarks.flood [--waiting N] [--watch-s S] [--retrying] [--json]

The whole gateway, as `hooklog up` runs it. The flood goes straight into `deliveries`, is parked behind an open breaker,
and is then watched: the worker's CPU and memory, what comes round, and how late an endpoint that fails once gets its
retry, beside how late without the flood. Then the worker is ended, and another starts beside all that waits. With
`--retrying` the flood has failed once and waits in a retry stream, for two hours. Nothing else should run meanwhile.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.flood_fixture import flood
from tests.oracle.http import get
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

MIB = 1_048_576
RETRY_S = 2.0
RETRYING_S = 7_200
BESIDE = "/fail/1/beside"
PROBES = 40
"""Events whose first attempt fails, and whose second is timed."""


async def lateness_ms(stack: Stack, receiver: Receiver, topic: str, path: str) -> list[float]:
    """How long after its delay the retry of each event came; the jitter, upward and in whole seconds, is in it."""
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    before = len(await receiver.at(path))
    for number in range(PROBES):
        await sender.send_one("push", b'{"n":%d}' % number)
        await asyncio.sleep(0.1)

    async def all_twice() -> bool:
        return len(await receiver.at(path)) >= before + 2 * PROBES

    await until("the retries", all_twice, within_s=300, every_s=0.5)
    times: dict[str, list[float]] = {}
    for entry in (await receiver.at(path))[before:]:
        times.setdefault(entry.webhook_id, []).append(entry.at)
    return [(later - earlier - RETRY_S) * 1_000 for at in times.values() for earlier, later in pairwise(at)]


async def parked(stack: Stack) -> float:
    """How many deliveries the worker has put aside since it started."""
    text = (await get(stack.ports["processors"], "/metrics")).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("hooklog_parked_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


@dataclass
class Beside:
    """An endpoint that fails once at each event, and how late its retries are."""

    stack: Stack
    receiver: Receiver
    topic: str

    async def watched(self, seconds: float) -> tuple[list[float], float]:
        """How late retries were in milliseconds, and what the worker's memory was at most, in MiB."""
        worker, found, memory = psutil.Process(self.stack.pids()["processors"]), list[float](), list[int]()
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            memory.append(worker.memory_info().rss)
            found += await lateness_ms(self.stack, self.receiver, self.topic, BESIDE)
        return found, max(*memory, worker.memory_info().rss) / MIB


async def measure(asked: argparse.Namespace, stack: Stack, receiver: Receiver) -> dict[str, float]:
    """Floods, waits until everything waits, and watches; the figures by name, with the unit in the name."""
    team = Team(stack)
    topic, other = await team.github_topic(), await team.github_topic()
    retry = {"delays_s": [RETRY_S] * 3}
    await team.subscribe(other, receiver.url(BESIDE), retry=retry, circuit_breaker=False)
    dead = await team.subscribe(topic, receiver.url("/outage/flood"), disable_after_days=0)
    quiet_ms = await lateness_ms(stack, receiver, other, BESIDE)
    found = await flooded(asked, stack, dead)

    worker, beside = psutil.Process(stack.pids()["processors"]), Beside(stack, receiver, other)
    began_s, began_cpu_s, round_before = time.monotonic(), cpu_s(worker), await parked(stack)
    requests = await receiver.count()
    watched_ms, memory_mib = await beside.watched(asked.watch_s)
    watched_s = time.monotonic() - began_s
    found |= {
        "watched_s": watched_s,
        "worker_cpu_share": (cpu_s(worker) - began_cpu_s) / watched_s,
        "worker_memory_MiB": memory_mib,
        "come_round_per_s": (await parked(stack) - round_before) / watched_s,
        "requests_to_the_dead_endpoint": await receiver.count() - requests - 2 * len(watched_ms),
        "retry_after_p50_ms_without": statistics.median(quiet_ms),
        "retry_after_max_ms_without": max(quiet_ms),
        "retry_after_p50_ms": statistics.median(watched_ms),
        "retry_after_max_ms": max(watched_ms),
    }
    ready_s, ready_mib = await restarted(stack)
    _, memory_mib = await beside.watched(asked.watch_s)
    return found | {
        "restarted_ready_s": ready_s,
        "restarted_ready_MiB": ready_mib,
        "restarted_memory_MiB": memory_mib,
    }


async def flooded(asked: argparse.Namespace, stack: Stack, dead: dict[str, Any]) -> dict[str, float]:
    """Returns when all of the flood waits."""
    worker = psutil.Process(stack.pids()["processors"])
    began_s, began_cpu_s = time.monotonic(), cpu_s(worker)
    await flood(stack.bootstrap, dead, asked.waiting, retried_in_s=RETRYING_S if asked.retrying else 0)
    if asked.retrying:
        return {"waiting": asked.waiting}

    async def all_aside() -> bool:
        return await parked(stack) >= float(asked.waiting) * 0.999

    await until("a parked flood", all_aside, within_s=3_600, every_s=1)
    return {
        "waiting": asked.waiting,
        "parked_in_s": time.monotonic() - began_s,
        "cpu_us_per_parking": (cpu_s(worker) - began_cpu_s) / await parked(stack) * 1e6,
    }


async def restarted(stack: Stack) -> tuple[float, float]:
    """Ends the worker: in how many seconds another was ready, from the start of its process, and with how many MiB."""
    before = stack.pids()["processors"]
    await stack.sigterm("processors")

    async def another() -> int:
        pid = stack.pids().get("processors", before)
        return 0 if pid == before else pid

    worker = psutil.Process(await until("another worker", another, within_s=60))
    began_s = time.monotonic()
    await stack.ready("processors")
    return time.monotonic() - began_s, worker.memory_info().rss / MIB


async def run(asked: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="hooklog-flood-") as folder, Receiver() as receiver:
        stack = Stack(Path(folder))
        try:
            await stack.up()
            return await measure(asked, stack, receiver)
        finally:
            await stack.down()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood", description=__doc__)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--watch-s", type=float, default=120.0, help="how long to look when all of them wait")
    parser.add_argument("--retrying", action="store_true", help="they have failed once, and wait for their retry")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = asyncio.run(run(asked))
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    table = Table("what", "measured", title="A flood for one dead endpoint, one machine")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}".removesuffix(".00"))
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
