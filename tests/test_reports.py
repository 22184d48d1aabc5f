"""People are told that an endpoint is left alone, and not each time that it flaps."""

import asyncio

from processors.deliver.reports import MAX_REMEMBERED, QUIET_S, Reports
from processors.tasks import Tasks
from rules.breaker import BreakerState
from schemas.operation import Operation
from tests.test_lanes import Clock, crashed, job

NOW_MS = 1_800_000_000_000
OPEN, HALF_OPEN, CLOSED = BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED


class Desk:
    """Reports under a clock, and what they told."""

    def __init__(self) -> None:
        self.clock, self.told = Clock(), list[tuple[str, str]]()
        self.tasks = Tasks(crashed)
        self.reports = Reports(self.tasks, self.tell, lambda: NOW_MS, self.clock)

    async def tell(self, operation: Operation) -> None:
        assert (operation.subject_id, operation.at_ms) == (operation.subscription_id, NOW_MS)
        self.told.append((operation.kind, operation.subject_id))

    async def become(self, *states: BreakerState, lane: str = "a") -> list[tuple[str, str]]:
        """What is told of these."""
        before = len(self.told)
        for state in states:
            self.reports.breaker(job(lane, 0), state)
        while self.tasks.running():
            await asyncio.sleep(0)
        return self.told[before:]


async def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    desk = Desk()
    assert await desk.become(OPEN, OPEN, OPEN) == [("breaker.opened", "a")]
    assert await desk.become(CLOSED, CLOSED) == [("breaker.closed", "a")]


async def test_an_endpoint_that_flaps_is_told_of_now_and_then_and_others_at_once() -> None:
    desk = Desk()
    flaps = [await desk.become(OPEN, CLOSED) for _ in range(100)]
    assert flaps == [[("breaker.opened", "a"), ("breaker.closed", "a")]] + [[]] * 99
    assert await desk.become(OPEN, lane="b") == [("breaker.opened", "b")]
    desk.clock.now_s = QUIET_S
    assert await desk.become(OPEN, CLOSED) == flaps[0]


async def test_a_worker_whose_breakers_were_forgotten_tells_of_the_next_outage() -> None:
    desk = Desk()
    await desk.become(OPEN)
    desk.clock.now_s = QUIET_S  # and the gates were given away: nobody told that it closed
    assert await desk.become(OPEN) == [("breaker.opened", "a")]


async def test_what_is_remembered_is_bounded() -> None:
    desk = Desk()
    for number in range(MAX_REMEMBERED + 1):
        await desk.become(OPEN, lane=f"s{number}")
    assert await desk.become(OPEN, CLOSED, lane="s0") == [("breaker.opened", "s0"), ("breaker.closed", "s0")]
