"""How fast Hooklog starts, how much memory it holds, how long an event takes and what it costs.

    python -m benchmarks.spine [--json]

Nothing else should run meanwhile. Sender, receiver and this program share the machine with what they measure.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

STEADY = Load(count=3_000, event_types=["push"], per_second=100, padding=1_000)
WARM_UP = Load(count=500, event_types=["push"], per_second=100, padding=1_000)
FILL = Load(count=6_500, event_types=["push"], per_second=250, padding=1_000)
"""With the other two, 10,000 events."""

IDLE_S = 10.0
SERVICES = ("kafka", "ingest", "processors", "projections")
MIB = 1_048_576


@dataclass
class Report:
    """What was measured, by name, with its unit in the name."""

    figures: dict[str, float] = field(default_factory=dict)
    aims: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float, aim: float | None = None) -> None:
        """Writes a figure down."""
        self.figures[name] = round(value, 3)
        if aim is not None:
            self.aims[name] = aim

    def show(self) -> None:
        """Prints one table."""
        table = Table("what", "measured", "aim", title="Hooklog, one machine, one endpoint, 1 KiB bodies")
        for name, value in self.figures.items():
            aim = self.aims.get(name)
            colour = "" if aim is None else "[green]" if value <= aim else "[red]"
            table.add_row(name.replace("_", " "), f"{colour}{value:,.2f}", "" if aim is None else f"{aim:,.0f}")
        Console(width=100).print(table)


def processes(stack: Stack) -> dict[str, psutil.Process]:
    """The processes of the gateway, the supervisor too."""
    return {name: psutil.Process(pid) for name, pid in stack.pids().items()}


def note_memory(report: Report, stack: Stack, moment: str) -> None:
    """Resident memory of each process, and of everything that `hooklog up` started."""
    found = processes(stack)
    for name in SERVICES:
        report.note(f"memory_{moment}_{name}_MiB", found[name].memory_info().rss / MIB)
    family = [found["up"], *found["up"].children(recursive=True)]
    aim = 1.2 * 1024 if moment == "idle" else None
    report.note(f"memory_{moment}_all_MiB", sum(process.memory_info().rss for process in family) / MIB, aim)


def cpu_s(found: Mapping[str, psutil.Process]) -> dict[str, float]:
    """CPU seconds that each process has used."""
    times = {name: process.cpu_times() for name, process in found.items()}
    return {name: used.user + used.system for name, used in times.items()}


@contextmanager
def cpu_noted(report: Report, stack: Stack, events: int) -> Iterator[None]:
    """Writes down what each process used meanwhile, for each event."""
    found = processes(stack)
    before = cpu_s(found)
    yield
    after = cpu_s(found)
    for name in SERVICES:
        report.note(f"cpu_per_event_{name}_ms", (after[name] - before[name]) / events * 1_000)


async def send(sender: Sender, receiver: Receiver, load: Load) -> None:
    """Posts a load; returns when all of it has arrived."""
    expected = await receiver.count() + load.count
    await sender.send_many(load)

    async def all_arrived() -> bool:
        return await receiver.count() >= expected

    await until("all events", all_arrived, within_s=120, every_s=0.2)


async def note_latency(report: Report, sender: Sender, receiver: Receiver) -> None:
    """From the first byte of the post to the last byte of the request at the receiver."""
    arrived = {entry.webhook_id: entry.at for entry in await receiver.books()}
    steady = sender.books[WARM_UP.count : WARM_UP.count + STEADY.count]
    taken_ms = [(arrived[sent.event_id] - sent.began) * 1_000 for sent in steady]
    accepted_ms = [(sent.answered - sent.began) * 1_000 for sent in steady]
    for name, values, aims in (("accept", accepted_ms, (None, None)), ("post_to_receiver", taken_ms, (20, 80))):
        cuts = statistics.quantiles(values, n=100)
        report.note(f"{name}_p50_ms", cuts[49], aims[0])
        report.note(f"{name}_p99_ms", cuts[98], aims[1])


async def start(report: Report, folder: Path, name: str, aim: float | None) -> Stack:
    """Starts a gateway in a folder and notes how long it takes."""
    stack = Stack(folder)
    began = time.monotonic()
    await stack.up()
    report.note(f"up_to_ready_{name}_s", time.monotonic() - began, aim)
    return stack


async def measure(report: Report, folder: Path) -> None:
    """Everything, in order."""
    stack = await start(report, folder, "first", None)
    await stack.down()
    stack = await start(report, folder, "again", 10)
    try:
        await asyncio.sleep(IDLE_S)
        note_memory(report, stack, "idle")
        with Receiver() as receiver:
            team = Team(stack)
            topic = await team.github_topic()
            await team.subscribe(topic, receiver.url("/ok/bench"))
            sender = Sender([stack.ports["ingest"]], topic, SECRET)
            await send(sender, receiver, WARM_UP)
            with cpu_noted(report, stack, STEADY.count):
                await send(sender, receiver, STEADY)
            await note_latency(report, sender, receiver)
            began = time.monotonic()
            await send(sender, receiver, FILL)
            report.note("throughput_events_per_s", FILL.count / (time.monotonic() - began))
            note_memory(report, stack, "after_10000_events")
    finally:
        await stack.down()


def main() -> None:
    """Measures and prints."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="hooklog-bench-") as folder:
        asyncio.run(measure(report, Path(folder)))
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(report.figures) + "\n")
    else:
        report.show()


if __name__ == "__main__":
    main()
