"""How fast Hooklog starts, how much memory it holds, how long an event takes and what it costs, stage by stage.

    python -m benchmarks [--json]

Nothing else should run meanwhile. Sender, endpoint and this program share the machine with what they measure; they are
not counted. It takes about seven minutes.
"""

import asyncio
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.measure import MIB, Sink
from benchmarks.pipelines import Floor, Gateway
from benchmarks.report import Report, Stages, show
from benchmarks.run import CLOSED, STEADY, Figures, Load, epoch, measure, warm_up
from tests.oracle.stack import Stack

IDLE_S = 10.0
LOADS = (CLOSED, STEADY)
SERVICES = ("kafka", "ingest", "processors", "projections")


def note_memory(report: Report, stack: Stack, moment: str, aim_mib: float | None = None) -> None:
    """Resident memory of each process, and of everything that `hooklog up` started."""
    pids = stack.pids()
    for name in SERVICES:
        report.note(f"memory_{moment}_{name}_MiB", psutil.Process(pids[name]).memory_info().rss / MIB)
    up = psutil.Process(pids["up"])
    family = [up, *up.children(recursive=True)]
    report.note(f"memory_{moment}_all_MiB", sum(process.memory_info().rss for process in family) / MIB, aim_mib)


async def note_start(report: Report, folder: Path) -> None:
    """How long `hooklog up` takes on an empty folder, and again."""
    stack = Stack(folder)
    for moment, aim_s in (("first", None), ("again", 10.0)):
        began = time.monotonic()
        await stack.up()
        report.note(f"up_to_ready_{moment}_s", time.monotonic() - began, aim_s)
        if moment == "again":
            await asyncio.sleep(IDLE_S)
            note_memory(report, stack, "idle", 1.2 * 1024)
        await stack.down()


async def measure_gateway(report: Report, folder: Path) -> dict[tuple[str, str], Figures]:
    """Every load with every kind of subscription."""
    sink, first, found = Sink(), epoch(), {}
    gateway = Gateway(folder, sink.port)
    try:
        await gateway.start()
        first = await warm_up(gateway, sink, ["none", "one", "once"], first)
        for load in LOADS:
            for kind in ("none", "one", "once"):
                found[load.name, kind] = await measure(gateway, sink, load, kind, first)
                first += load.count
        note_memory(report, gateway.stack, "after_the_loads")
    finally:
        await gateway.stop()
        sink.close()
    return found


async def measure_floor(folder: Path) -> dict[str, Figures]:
    """Every load on the bare pipeline."""
    sink, first, found = Sink(), epoch(), {}
    floor = Floor(folder, sink.port)
    try:
        await floor.start()
        first = await warm_up(floor, sink, ["one"], first)
        for load in LOADS:
            found[load.name] = await measure(floor, sink, load, "one", first)
            first += load.count
    finally:
        await floor.stop()
        sink.close()
    return found


def stages_of(load: Load, own: dict[tuple[str, str], Figures], floor: dict[str, Figures]) -> Stages:
    """One load's four runs."""
    name = load.name
    return Stages(load, own[name, "none"], own[name, "one"], own[name, "once"], floor[name])


def main() -> None:
    """Measures and prints."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="hooklog-bench-") as folder:
        first, second, third = (Path(folder, name) for name in ("start", "gateway", "floor"))
        for part in (first, second, third):
            part.mkdir()
        asyncio.run(note_start(report, first))
        own = asyncio.run(measure_gateway(report, second))
        floor = asyncio.run(measure_floor(third))
    stages = {load.name: stages_of(load, own, floor) for load in LOADS}
    machine = f"{psutil.cpu_count()} CPUs, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    if "--json" in sys.argv:
        loads = {name: stage.document() for name, stage in stages.items()}
        sys.stdout.write(json.dumps({"machine": machine, "loads": loads, "figures": report.figures}) + "\n")
    else:
        show(report, stages, machine)


if __name__ == "__main__":
    main()
