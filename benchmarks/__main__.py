"""How fast Hooklog starts, how much memory it holds, how long an event takes and what it costs, stage by stage.

    python -m benchmarks [--json]

Nothing else should run meanwhile. Sender, endpoint and this program share the machine with what they measure; they are
not counted. It takes about nine minutes.
"""

import argparse
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
from benchmarks.report import FanOut, Report, Stages, show
from benchmarks.run import CLOSED, FAN_OUT, STEADY, Figures, Load, epoch, measure, warm_up
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
        first = await warm_up(gateway, sink, ["none", "one", "once", "ten"], first)
        runs = [(load, kind) for load in LOADS for kind in ("none", "one", "once")]
        for load, kind in [*runs, (FAN_OUT, "ten")]:
            found[load.name, kind] = await measure(gateway, sink, load, kind, first)
            first += load.count
        note_memory(report, gateway.stack, "after_the_loads")
    finally:
        await gateway.stop()
        sink.close()
    return found


async def measure_floor(folder: Path) -> dict[tuple[str, str], Figures]:
    """Every load on the bare pipeline, with both of its workers."""
    sink, first, found = Sink(), epoch(), {}
    floor = Floor(folder, sink.port)
    try:
        await floor.start()
        for worker in ("worker", "loop"):
            if worker == "loop":
                await floor.change_worker()
            first = await warm_up(floor, sink, ["one"], first)
            for load in LOADS:
                found[load.name, worker] = await measure(floor, sink, load, "one", first)
                first += load.count
    finally:
        await floor.stop()
        sink.close()
    return found


def stages_of(load: Load, own: dict[tuple[str, str], Figures], floor: dict[tuple[str, str], Figures]) -> Stages:
    """One load's five runs."""
    kinds = {kind: own[load.name, kind] for kind in ("none", "one", "once")}
    return Stages(load, **kinds, floor=floor[load.name, "worker"], loop=floor[load.name, "loop"])


def note_aims(report: Report, stages: dict[str, Stages], fan_out: FanOut) -> None:
    """The figures that are to be reached."""
    closed, steady = stages[CLOSED.name], stages[STEADY.name].one
    report.note("closed_loop_delivered_per_s", closed.one.delivered_per_s, at_least=2_000)
    report.note("closed_loop_cpu_ms_an_event", closed.one.total_ms, 0.8)
    report.note("closed_loop_deliver_by_bare_loop", closed.deliver_ms / closed.loop_ms, 2)
    report.note("closed_loop_worker_by_bare_loop", closed.one.cpu_ms["processors"] / closed.loop_ms)
    report.note("200/s_end_to_end_p50_ms", steady.end_to_end_ms[0], 12)
    report.note("200/s_end_to_end_p99_ms", steady.end_to_end_ms[1], 50)
    report.note("fan_out_deliveries_per_s", fan_out.ten.delivered_per_s, at_least=4_000)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json: bool = parser.parse_args().json
    report = Report()
    with tempfile.TemporaryDirectory(prefix="hooklog-bench-") as folder:
        first, second, third = (Path(folder, name) for name in ("start", "gateway", "floor"))
        for part in (first, second, third):
            part.mkdir()
        asyncio.run(note_start(report, first))
        own = asyncio.run(measure_gateway(report, second))
        floor = asyncio.run(measure_floor(third))
    stages = {load.name: stages_of(load, own, floor) for load in LOADS}
    fan_out = FanOut(own[FAN_OUT.name, "ten"])
    note_aims(report, stages, fan_out)
    machine = f"{psutil.cpu_count()} CPUs, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    if as_json:
        loads = {name: stage.document() for name, stage in stages.items()} | {FAN_OUT.name: fan_out.document()}
        sys.stdout.write(json.dumps({"machine": machine, "loads": loads, "figures": report.figures}) + "\n")
    else:
        show(report, stages, fan_out, machine)


if __name__ == "__main__":
    main()
