"""What processes used, and how long events took."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from benchmarks.driver import Plan, Posted
from tests.oracle.http import get

MIB = 1_048_576
ROOT = Path(__file__).parent.parent


class Sink:
    """The endpoint, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.pid = self._process.pid
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=10)

    async def delivered(self) -> int:
        """How many deliveries have arrived."""
        return int((await get(self.port, "/count")).body)

    async def books(self) -> dict[str, float]:
        """Every delivery, as `path id`, and when it arrived."""
        arrivals: dict[str, float] = json.loads((await get(self.port, "/", timeout_s=60)).body)["at"]
        return arrivals


async def drive(plan: Plan) -> Posted:
    """Posts a plan from a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.driver",
        json.dumps(asdict(plan)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    posted = Posted(**json.loads(output))
    assert all(posted.ids), "an event was refused"
    return posted


@dataclass
class Cpu:
    """CPU seconds by process, between its making and `ended`.

    Attributes:
        used_s: by name.
        others_share: how much of the machine other work took meanwhile: what is measured beside much of it is noise.
    """

    pids: Mapping[str, int]
    uncounted: Mapping[str, int]
    used_s: dict[str, float] = field(default_factory=dict)
    others_share: float = 0.0

    def __post_init__(self) -> None:
        self._before, self._machine_s, self._began = self._now(), _busy_s(), time.monotonic()

    def _now(self) -> dict[str, float]:
        pids = {**self.pids, **self.uncounted}
        times = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items()}
        return {name: used.user + used.system for name, used in times.items()}

    def ended(self, also_s: float = 0.0) -> None:
        """Writes down what was used; `also_s` by processes that have ended already."""
        used = {name: after - self._before[name] for name, after in self._now().items()}
        self.used_s = {name: used[name] for name in self.pids}
        others_s = _busy_s() - self._machine_s - sum(used.values()) - also_s
        elapsed_s = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        self.others_share = max(0.0, others_s / elapsed_s)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def quantiles_ms(values_s: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile of seconds, in milliseconds."""
    cuts = statistics.quantiles(values_s, n=100)
    return cuts[49] * 1_000, cuts[98] * 1_000
