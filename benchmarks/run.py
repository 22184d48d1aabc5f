"""One load on one pipeline: what it cost, how fast it was."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.driver import Plan
from benchmarks.measure import Cpu, Sink, drive, quantiles_ms
from tests.oracle.stack import until

SETTLE_S = 2.0
"""Longer than the insert of the last batch takes to begin."""

PATIENCE_S = 180.0


@dataclass(frozen=True)
class Load:
    """How events are posted.

    Attributes:
        per_second: at a constant rate, or 0 for 64 connections that each post again as soon as they are answered.
    """

    name: str
    count: int
    per_second: float = 0.0


CLOSED = Load("closed loop", 10_000)
STEADY = Load("200/s", 6_000, 200.0)
FAN_OUT = Load("fan-out of ten", 2_000)


@dataclass(frozen=True)
class Figures:
    """What one load cost.

    Attributes:
        cpu_ms: of each process, for each event.
        fan_out: deliveries of each event.
        delivered_per_s: from the first post to the last arrival.
        accept_ms: the median and the 99th percentile, from when a post was due to its answer.
        end_to_end_ms: as above, to each arrival at an endpoint; zeros when nothing is delivered.
        others_share: how much of the machine other work took.
    """

    cpu_ms: dict[str, float]
    fan_out: int
    delivered_per_s: float
    accept_ms: tuple[float, float]
    end_to_end_ms: tuple[float, float]
    others_share: float

    @property
    def total_ms(self) -> float:
        """Of all processes."""
        return sum(self.cpu_ms.values())


class Pipeline(Protocol):
    """What is measured."""

    port: int

    def pids(self) -> Mapping[str, int]:
        """The processes that count, by name."""

    def path(self, kind: str) -> str:
        """Where to post what nobody gets (`none`), one endpoint (`one`), ten (`ten`), one that fails first (`once`)."""

    def endpoints(self, kind: str) -> Sequence[str]:
        """The paths of those who get it."""

    async def idle(self) -> bool:
        """Whether everything that was taken in is stored where it can be queried."""


async def measure(pipeline: Pipeline, sink: Sink, load: Load, kind: str, first: int) -> Figures:
    """Posts a load; returns when all of it was delivered and stored."""
    endpoints = pipeline.endpoints(kind)
    expected = await sink.delivered() + load.count * len(endpoints)
    cpu = Cpu(pipeline.pids(), {"sink": sink.pid})
    posted = await drive(
        Plan(
            pipeline.port,
            pipeline.path(kind),
            "it's a secret to everybody",
            load.count,
            first,
            per_second=load.per_second,
        )
    )

    async def arrived() -> bool:
        return await sink.delivered() >= expected

    await until("every delivery", arrived, PATIENCE_S, 0.25)
    await asyncio.sleep(SETTLE_S)
    await until("every row", pipeline.idle, PATIENCE_S, 0.5)
    cpu.ended(posted.cpu_s)
    end_to_end, per_s = (0.0, 0.0), 0.0
    if endpoints:
        at = await sink.books()
        sent = list(zip(posted.ids, posted.due, strict=True))
        took_s = {name: at[name] - due for path in endpoints for one, due in sent if (name := f"{path} {one}")}
        end_to_end = quantiles_ms(list(took_s.values()))
        per_s = len(took_s) / (max(at[name] for name in took_s) - min(posted.due))
    accept = quantiles_ms([answered - due for answered, due in zip(posted.answered, posted.due, strict=True)])
    cpu_ms = {name: used_s / load.count * 1_000 for name, used_s in cpu.used_s.items()}
    return Figures(cpu_ms, len(endpoints), per_s, accept, end_to_end, cpu.others_share)


async def warm_up(pipeline: Pipeline, sink: Sink, kinds: list[str], first: int) -> int:
    """Lets compilers and caches do their work; how many events that took."""
    loads = [Load("warm-up", 500, 200.0), Load("warm-up", 3_000)]
    for kind in kinds:
        for load in loads:
            await measure(pipeline, sink, load, kind, first)
            first += load.count
    return first


def epoch() -> int:
    """A number that no earlier run used."""
    return int(time.time()) % 1_000_000 * 1_000_000
