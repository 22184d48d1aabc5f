"""Nothing is lost and nothing miscounted, whatever is killed, and nobody restarts anything by hand.

`hooklog up` is killed child by child, the broker included; two workers and an ingest process beside it are killed,
stopped and started again, as an operator's process manager would. The oracle keeps the books.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.oracle.chaos import seeded_plan
from tests.oracle.sender import Load
from tests.oracle.trial import MAX_IN_FLIGHT, Trial, mixed, require_up, running_trial
from tests.oracle.verdict import Verdict

pytestmark = pytest.mark.stack

EVENT_TYPES = ["order.created", "order.paid", "order.sent", "refund.created", "order.closed", "slow.one"]
SUBSCRIPTIONS = 20
SEEDS = [int(text) for text in os.environ.get("HOOKLOG_FAULT_SEEDS", "1 2 3").split()]

ONCE_EACH = [
    ("kill9", "processors"),
    ("kill9", "ingest"),
    ("kill9", "projections"),
    ("sigterm", "processors-2"),
    ("join", "processors-3"),
    ("kill9", "ingest-2"),
]
"""What happens, in an order and at times that the seed decides."""

BROKER = [("kill9", "kafka")]
AGAIN = [("kill9", "processors"), ("kill9", "processors-2"), ("sigterm", "processors"), ("kill9", "projections")]


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[Trial]:
    async with running_trial(tmp_path, mixed(SUBSCRIPTIONS), ["ingest-2"]) as running:
        yield running


def in_flight(faults: list[tuple[str, str]]) -> int:
    """What can be on the wire at the kills of workers, all endpoints together."""
    kills = sum(what == "kill9" and who.startswith("processors") for what, who in faults)
    return kills * SUBSCRIPTIONS * MAX_IN_FLIGHT


async def require(trial: Trial, verdict: Verdict, faults: list[tuple[str, str]]) -> None:
    """Nothing missing, nothing miscounted, few duplicates, everybody back."""
    assert not verdict.problems, "\n".join([*verdict.problems, trial.stack.tails()])
    assert verdict.duplicates <= in_flight(faults)
    await require_up(trial.stack, ["ingest", "processors", "projections", "ingest-2", "processors-2"])


async def test_nothing_is_lost_when_everything_is_killed_once_under_load(trial: Trial) -> None:
    faults = [*ONCE_EACH, *BROKER]
    verdict = await trial.run(
        Load(1_000, EVENT_TYPES, per_second=50, repeated=10), seeded_plan(7, faults, within_s=15), seed=7
    )
    await require(trial, verdict, faults)


@pytest.mark.faults
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_in_a_long_run_with_every_fault_overlapping(trial: Trial, seed: int) -> None:
    faults = [*ONCE_EACH, *BROKER, *AGAIN, *BROKER]
    verdict = await trial.run(Load(5_000, EVENT_TYPES, per_second=50, repeated=10), seeded_plan(seed, faults, 90), seed)
    await require(trial, verdict, faults)
