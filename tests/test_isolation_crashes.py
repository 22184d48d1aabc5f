"""Two hundred endpoints, some dead, some slow, some flapping, while everything is killed, stopped, paused and joined.

Nothing is lost, what is repeated was on the wire when something was killed, and nobody restarts anything by hand.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.oracle.chaos import say, seeded_plan
from tests.oracle.crowd import EVENT_TYPES, crowd
from tests.oracle.sender import Load
from tests.oracle.trial import Trial, require_up, running_trial

pytestmark = pytest.mark.stack

EVENTS = int(os.environ.get("HOOKLOG_FAULT_EVENTS", "2000"))
"""Each goes to 50 endpoints: 100,000 deliveries."""

EVENTS_PER_S = float(os.environ.get("HOOKLOG_FAULT_RATE", "8"))
SEEDS = [int(text) for text in os.environ.get("HOOKLOG_FAULT_SEEDS", "1 2 3").split()][:1]
"""A quarter of an hour each: one."""

FAULTS = [
    ("kill9", "processors"),
    ("freeze", "processors-2"),
    ("sigterm", "processors"),
    ("join", "processors-3"),
    ("kill9", "processors-2"),
    ("sigterm", "processors-2"),
    ("freeze", "processors"),
    ("kill9", "kafka"),
    ("sigterm", "kafka"),
    ("kill9", "ingest"),
    ("kill9", "projections"),
]
"""What happens, in an order and at times that the seed decides."""


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[Trial]:
    async with running_trial(tmp_path, crowd()) as running:
        yield running


@pytest.mark.faults
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_hundred_thousand_deliveries_survive_every_fault_among_endpoints_in_trouble(
    trial: Trial, seed: int
) -> None:
    within_s = EVENTS / EVENTS_PER_S
    verdict = await trial.run(Load(EVENTS, EVENT_TYPES, EVENTS_PER_S), seeded_plan(seed, FAULTS, within_s), seed)
    assert not verdict.problems, "\n".join([*verdict.problems, trial.stack.tails()])
    say(f"{verdict.duplicates} duplicates, {trial.could_repeat()} requests were on the wire at the faults")
    assert verdict.duplicates <= trial.could_repeat()
    await require_up(trial.stack, ["ingest", "processors", "projections", "processors-2"])
