"""A worker that is asked to end, or was paused until others had its work, leaves nothing that is done again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.oracle.chaos import Fault
from tests.oracle.sender import Load
from tests.oracle.trial import Trial, require_up, running_trial
from tests.oracle.verdict import Wanted

pytestmark = pytest.mark.stack

QUICK, SLOW = 12, 8
# By the hash of these names either of two workers has some of the slow ones, however the partitions fall.
WANTED = [Wanted(f"quick-{n}", f"/ok/{n}") for n in range(QUICK)] + [
    Wanted(f"s-{n}", f"/slow/{2_000 + 1_000 * n}/{n}", ["slow.*"]) for n in range(SLOW)
]
LOAD = Load(400, ["quick.one"] * 6 + ["slow.one"], per_second=20)

DRAINS = [
    Fault(2, "sigterm", "processors-2", down_s=1),
    Fault(5, "join", "processors-3"),
    Fault(9, "sigterm", "processors"),
    Fault(9, "join", "processors-4"),  # takes over while that one still waits for its answers
    Fault(16, "sigterm", "processors-2", down_s=0),
    Fault(16, "sigterm", "processors-3", down_s=2),
    Fault(21, "sigterm", "processors-4", down_s=0),
]
PAUSE = Fault(8, "freeze", "processors", down_s=25)
"""Longer than a session and than any timeout: whoever wakes was replaced, and every answer came meanwhile."""


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[Trial]:
    async with running_trial(tmp_path, WANTED) as running:
        yield running


async def test_workers_that_are_asked_to_end_under_load_repeat_nothing_and_lose_nothing(trial: Trial) -> None:
    verdict = await trial.run(LOAD, DRAINS, seed=0)
    assert not verdict.problems, "\n".join([*verdict.problems, trial.stack.tails()])
    assert verdict.duplicates == 0
    await require_up(trial.stack, ["processors", "processors-2", "processors-3", "processors-4"])


async def test_a_worker_that_wakes_up_replaced_takes_no_answer_for_a_timeout_and_retries_nothing(trial: Trial) -> None:
    verdict = await trial.run(LOAD, [PAUSE], seed=0)
    assert not verdict.problems, "\n".join([*verdict.problems, trial.stack.tails()])  # a retry is an attempt too many
    assert 0 < verdict.duplicates <= trial.could_repeat()  # what it had on the wire, the new owner had to repeat
    await require_up(trial.stack, ["processors", "processors-2"])
