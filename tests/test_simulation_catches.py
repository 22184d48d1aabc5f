"""The simulation can fail: each planted error is caught within a few hundred worlds."""

from functools import partial

import pytest
from msgspec import structs

from rules.breaker import Breaker, BreakerState
from rules.ladder import Ladder
from rules.parking import Parking
from rules.rate_limit import RateLimit
from rules.retry import Answer, NextStep
from schemas.delivery import Delivery
from schemas.streams import Stream
from tests.simulation.books import Key, ParkKey
from tests.simulation.delay import DelayModel
from tests.simulation.deliver import Assignment
from tests.simulation.lane import Job, Lane, Rules
from tests.simulation.scenario import scenario_of
from tests.simulation.shrink import failure_of, shrunk
from tests.simulation.streams import Stored
from tests.simulation.world import Parts, run

SEEDS = 300


class AttemptFirst(Assignment):
    """Stores the attempt before what follows from it."""

    def store(
        self, job: Job, lane: Lane, status: str, follow_up: Delivery | None, answer: Answer | None = None
    ) -> None:
        if follow_up is None:
            super().store(job, lane, status, None, answer)
            return
        self.open[job.key] = job
        last = partial(self._stored, job, lane, status, answer)
        self.store_attempt(job, status, partial(self.append_follow_up, job, follow_up, last))


class CommittedAtTheStart(Assignment):
    """Commits a record when its request starts."""

    def start(self, job: Job, lane: Lane) -> None:
        for offset in job.offsets:
            self.offsets.done(offset)
        self.offsets.commit()
        super().start(job, lane)


class NothingLoaded(Assignment):
    """Does not ask which attempts were finished before."""

    def load(self) -> None:
        """Reads nothing."""


class ForksGoOn(Assignment):
    """Knows which attempts were made, and not which deliveries have ended."""

    def done(self, key: Key | ParkKey) -> bool:
        return key in self.finished


class OneMoreInFlight(Assignment):
    """Counts from nought."""

    def in_flight(self, job: Job) -> int:
        return super().in_flight(job) + 1


class DeafToRetryAfter(Assignment):
    """Does not honour what an endpoint asks for."""

    def next_step(self, job: Job, answer: Answer) -> NextStep:
        return super().next_step(job, structs.replace(answer, retry_after=""))


class OneLaneForAll(Assignment):
    """Everybody waits behind everybody."""

    def lane_of(self, target: int) -> Lane:  # noqa: ARG002 - that is the error
        return super().lane_of(0)


class UnrecordedParkings(Assignment):
    """Does not write down that a delivery was put aside."""

    def record_parking(self, job: Job) -> None:
        self._parked(job)


class ReleasesEarly(DelayModel):
    """Leaves a tenth of the wait out."""

    def release_ms(self, ladder: Ladder, tier: Stream, record: Stored) -> float:
        wait_ms = super().release_ms(ladder, tier, record) - record.appended_ms
        return record.appended_ms + wait_ms * 0.9

    def _release(self, life: int, key: tuple[str, int], record: Stored) -> None:
        super()._release(life, key, record._replace(value=structs.replace(record.value, due_ms=0)))


class NeverHalfOpen(Breaker):
    """Stays open once it is."""

    def admit(self, now_ms: int) -> float:
        return 5.0 if self.state is BreakerState.OPEN else super().admit(now_ms)


class EverySecondFree(RateLimit):
    """Lets one more through than it may."""

    def take(self, now_ms: int, count: int = 1) -> float:
        return 0.0 if now_ms % 2 else super().take(now_ms, count)


class SoonAgain(Parking):
    """Sends everything round every five seconds."""

    def delay_s(self, now_ms: int, **_: float) -> float:  # noqa: ARG002 - that is the error
        return 5.0


class SeldomForEver(Parking):
    """Has everybody wait as long as what came in vain for hours."""

    def delay_s(self, now_ms: int, **how: float) -> float:
        return max(super().delay_s(now_ms, **how), 320.0)  # type: ignore[arg-type]


ERRORS = {
    "the attempt before what follows": Parts(assignment=AttemptFirst),
    "committed before it is finished": Parts(assignment=CommittedAtTheStart),
    "finished attempts not loaded": Parts(assignment=NothingLoaded),
    "ended deliveries attempted": Parts(assignment=ForksGoOn),
    "one more in flight": Parts(assignment=OneMoreInFlight),
    "Retry-After not heard": Parts(assignment=DeafToRetryAfter),
    "one lane for all": Parts(assignment=OneLaneForAll),
    "parkings not recorded": Parts(assignment=UnrecordedParkings),
    "released early": Parts(delay=ReleasesEarly),
    "a breaker that stays open": Parts(rules=Rules(breaker=NeverHalfOpen)),
    "a rate limit with a hole": Parts(rules=Rules(rate=EverySecondFree)),
    "parked in a busy loop": Parts(rules=Rules(parking=SoonAgain)),
    "an outage that does not end": Parts(rules=Rules(parking=SeldomForEver)),
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_planted_error_is_caught(error: str) -> None:
    attempt = partial(run, parts=ERRORS[error])
    assert any(failure_of(attempt, scenario_of(seed)) for seed in range(SEEDS))


def test_a_failing_world_is_made_small() -> None:
    attempt = partial(run, parts=ERRORS["a breaker that stays open"])
    failing = next(scenario for seed in range(SEEDS) if failure_of(attempt, scenario := scenario_of(seed)))
    small = shrunk(attempt, failing)
    assert failure_of(attempt, small)
    assert len(small.arrivals) < len(failing.arrivals)
    assert len(small.troubles) <= 1
