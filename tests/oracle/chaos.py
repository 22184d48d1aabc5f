"""A seeded plan of what goes wrong, carried out while the load runs."""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracle.stack import SUPERVISED, Stack

FREEZE_S = 45.0
"""Longer than a session: the others take over, and who wakes does not know it."""

MAX_DOWN_S = 3.0
"""How long a process that was stopped stays away; longer than its peers' patience is another test."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at_s: seconds after the start.
        what: `kill9`, `sigterm`, `freeze` or `join`.
        who: the name of a process.
        down_s: how long whoever is not supervised stays away, or a frozen one stands still.
    """

    at_s: float
    what: str
    who: str
    down_s: float = 0.0


def seeded_plan(seed: int, faults: Sequence[tuple[str, str]], within_s: float) -> list[Fault]:
    """Each fault at a random time; the same seed gives the same plan."""
    dice = random.Random(seed)
    plan = [
        Fault(dice.uniform(0, within_s), what, who, FREEZE_S if what == "freeze" else dice.uniform(0, MAX_DOWN_S))
        for what, who in faults
    ]
    return sorted(plan, key=lambda fault: fault.at_s)


@dataclass(frozen=True)
class Happened:
    """A fault that happened, and when: epoch seconds."""

    what: str
    who: str
    at: float


async def carry_out(stack: Stack, plan: Sequence[Fault], seed: int) -> list[Happened]:
    """Lets the faults happen, each at its time, overlapping as they fall."""
    start = time.monotonic()
    say(f"seed {seed}")
    happened: list[Happened] = []
    async with asyncio.TaskGroup() as tasks:
        for fault in plan:
            tasks.create_task(_happen(stack, fault, start, happened))
    return happened


async def keep_alive(stack: Stack) -> None:
    """Does for the extra services what the supervisor does for its own, until it is cancelled."""
    while True:
        for name in stack.revive():
            say(f"{name} had ended by itself and was started again")
        await asyncio.sleep(1)


async def _happen(stack: Stack, fault: Fault, start: float, happened: list[Happened]) -> None:
    await asyncio.sleep(max(0.0, start + fault.at_s - time.monotonic()))
    say(f"{time.monotonic() - start:6.1f} s  {fault.what} {fault.who}")
    if fault.what == "join":
        await stack.add(fault.who, "processors")
        return
    if fault.who not in stack.ports:
        say(f"{fault.who} has not joined yet")
        return
    happened.append(Happened(fault.what, fault.who, time.time()))
    await _do(stack, fault)
    if fault.who not in SUPERVISED and fault.what != "freeze":
        await asyncio.sleep(fault.down_s)
        stack.start(fault.who)


async def _do(stack: Stack, fault: Fault) -> None:
    if fault.what == "freeze":
        await stack.freeze(fault.who, fault.down_s)
    else:
        await (stack.kill9 if fault.what == "kill9" else stack.sigterm)(fault.who)


def say(text: str) -> None:
    """One line of the run's protocol; pytest shows it when the run fails."""
    sys.stdout.write(f"[chaos] {text}\n")
    sys.stdout.flush()
