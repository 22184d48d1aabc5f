"""What accepting an event costs, how fast it is, and what slow senders do to the others; in one run, with ratios.

    python -m benchmarks.ingest [--rounds N] [--json]

- cost: CPU of the ingest process for an accepted event of 1 KiB, signed as GitHub signs, stored with acks=all; log
  line, counters and limits included. Beside it the same work as an ordinary FastAPI route (`benchmarks/ordinary.py`),
  with what an application can do to harden it, and bare. All are loaded in turn, and a ratio is the median of the
  ratios of the rounds: that holds on a machine that others use.
- saturated: events a second of 64 connections that each post again as soon as they are answered.
- accept: from when a post was due to its answer, at half the saturated rate.
- batch: the cost of events that come a hundred in one request, where this Hooklog takes batches.
- slow senders: 1,000 connections that drip a head, drip a body, say nothing, or read no answer, beside a steady load;
  how long its posts take with them and without.

Nothing else should run meanwhile.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.driver import Plan, Posted
from benchmarks.measure import ROOT, Cpu, drive, quantiles_ms
from benchmarks.ways_in import SECRET, TOPIC, WaysIn
from tests.oracle.http import Connection

HOOKLOG, HARDENED, BARE = WAYS = ("hooklog", "hardened", "bare")
ROUND_EVENTS = 6_000
WARM_UP_EVENTS = 5_000
STEADY_S = 8.0
SLOW_S = 12.0
SLOW_SENDERS = 1_000
BATCH = 100
PATH = f"/api/v1/ingest/{TOPIC}"
ACCEPTED = 202
AIMS = {"cost_ratio_to_hardened": 0.4, "accept_p99_ms": 6.0, "batch_ratio": 0.3, "slow_senders_p99_ratio": 2.0}


@dataclass
class Bench:
    """The measurements, one after the other.

    Attributes:
        found: figures by name, with the unit in the name.
        others: the largest share of the machine that other work had in each part.
    """

    ways: WaysIn
    rounds: int
    found: dict[str, float] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    _first: int = 0

    async def run(self) -> None:
        """All of them."""
        for name in WAYS:
            await self._cost(name, WARM_UP_EVENTS, "warm_up")
        await self._costs()
        await self._accept()
        await self._batch()
        await self._slow_senders()

    async def _costs(self) -> None:
        costs: dict[str, list[float]] = {name: [] for name in WAYS}
        rates = []
        for _ in range(self.rounds):
            for name in WAYS:
                cost_us, rate = await self._cost(name, ROUND_EVENTS, "cost")
                costs[name].append(cost_us)
                rates += [rate] if name == HOOKLOG else []
        self.found["cost_us"] = statistics.median(costs[HOOKLOG])
        for name in (HARDENED, BARE):
            self.found[f"{name}_route_cost_us"] = statistics.median(costs[name])
            ratios = [own / other for own, other in zip(costs[HOOKLOG], costs[name], strict=True)]
            self.found[f"cost_ratio_to_{name}"] = statistics.median(ratios)
        self.found["saturated_per_s"] = statistics.median(rates)

    async def _cost(self, name: str, count: int, part: str, batch: int = 1) -> tuple[float, float]:
        """CPU microseconds an event, and events a second."""
        pids = self.ways.pids()
        cpu = Cpu({name: pids[name]}, {"kafka": pids["kafka"]})
        posted = await self._drive(name, count // batch, batch=batch)
        cpu.ended(posted.cpu_s)
        self.others[part] = max(self.others.get(part, 0.0), cpu.others_share)
        return cpu.used_s[name] / count * 1e6, count / (max(posted.answered) - min(posted.due))

    async def _drive(self, name: str, count: int, *, per_second: float = 0.0, batch: int = 1) -> Posted:
        path = f"{PATH}/batch" if batch > 1 else PATH
        first, self._first = self._first, self._first + count * batch
        return await drive(Plan(self.ways.ports[name], path, SECRET, count, first, per_second=per_second, batch=batch))

    async def _accept(self) -> None:
        rate = self.found["saturated_per_s"] / 2
        times = latencies_s(await self._drive(HOOKLOG, round(rate * STEADY_S), per_second=rate))
        self.found["accept_per_s"] = rate
        self.found["accept_p50_ms"], self.found["accept_p99_ms"] = quantiles_ms(times)

    async def _batch(self) -> None:
        if not await self._takes_batches():
            return
        await self._cost(HOOKLOG, WARM_UP_EVENTS, "warm_up", BATCH)
        ratios = []
        for _ in range(self.rounds):
            batch_us, _ = await self._cost(HOOKLOG, ROUND_EVENTS, "batch", BATCH)
            single_us, _ = await self._cost(HOOKLOG, ROUND_EVENTS, "batch")
            ratios.append(batch_us / single_us)
        self.found["batch_cost_us"], self.found["batch_ratio"] = batch_us, statistics.median(ratios)

    async def _takes_batches(self) -> bool:
        async with Connection(self.ways.ports[HOOKLOG]) as connection:
            plan = Plan(0, f"{PATH}/batch", SECRET, 1, batch=2)
            return (await connection.request("POST", plan.path, *plan.content(0))).status == ACCEPTED

    async def _slow_senders(self) -> None:
        rate = self.found["saturated_per_s"] / 4
        count = round(rate * SLOW_S)
        without = latencies_s(await self._drive(HOOKLOG, count, per_second=rate))
        port = str(self.ways.ports[HOOKLOG])
        command = [sys.executable, "-m", "tests.oracle.slow_senders", port, TOPIC, str(SLOW_SENDERS)]
        slow = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert slow.stdout
        await slow.stdout.readline()  # all are connected
        beside = latencies_s(await self._drive(HOOKLOG, count, per_second=rate))
        told, _ = await slow.communicate(b"")  # its standard input ends
        self.found["slow_senders_cut_off"] = float(told)
        self.found["slow_senders_per_s"] = rate
        for label, times in (("without", without), ("with", beside)):
            p50, p99 = quantiles_ms(times)
            self.found[f"slow_senders_p50_ms_{label}"], self.found[f"slow_senders_p99_ms_{label}"] = p50, p99
        found = self.found
        found["slow_senders_p99_ratio"] = found["slow_senders_p99_ms_with"] / found["slow_senders_p99_ms_without"]


def latencies_s(posted: Posted) -> list[float]:
    """From when each was due to its answer."""
    return [answered - due for answered, due in zip(posted.answered, posted.due, strict=True)]


async def measure(rounds: int) -> Bench:
    """Everything, on a broker of its own."""
    with tempfile.TemporaryDirectory(prefix="hooklog-ingest-") as folder:
        ways = WaysIn(Path(folder))
        try:
            await ways.start()
            bench = Bench(ways, rounds)
            await bench.run()
        finally:
            await ways.stop()
    return bench


def show(bench: Bench) -> None:
    """As a table."""
    table = Table("what", "measured", "aim, at most", title="Accepting events of 1 KiB")
    for name, value in bench.found.items():
        aim = AIMS.get(name)
        table.add_row(name.replace("_", " "), f"{value:,.2f}".removesuffix(".00"), "" if aim is None else f"{aim:g}")
    console = Console(width=80)
    console.print(table)
    if "batch_ratio" not in bench.found:
        console.print("This Hooklog takes no batches.")
    for part, share in bench.others.items():
        console.print(f"{part.replace('_', ' ')}: other work took at most {share:.0%} of the machine")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of all ways in, in turn")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    bench = asyncio.run(measure(asked.rounds))
    if asked.json:
        sys.stdout.write(json.dumps({"figures": bench.found, "others_share": bench.others, "aims": AIMS}) + "\n")
    else:
        show(bench)


if __name__ == "__main__":
    main()
