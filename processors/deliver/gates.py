"""What stands between a lane and its endpoint: the rate limit, the breaker, and the places of what is put aside.

A subscription lives in one partition, so one worker has all of its requests and its limit is exact. The state lives as
long as the assignment: a new owner begins with a full burst and a closed breaker.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from processors.deliver.job import Job
from processors.deliver.lanes import Load
from rules.breaker import CLOSES_AFTER, PROBE_S, Breaker, BreakerState
from rules.parking import Parking, times_in_vain
from rules.rate_limit import RateLimit
from rules.retry import Answer
from schemas.config import RateLimitSpec, SubscriptionSpec

CROWDED = "lane_full"
LIMITED = "rate_limited"
BROKEN = "breaker_open"

LANE_WAIT_S = 5.0
"""A place that the rate limit has within this time is waited for in the lane: the shortest park stream takes as long,
and what came back from it in bursts could not use all of the rate."""

MAX_HELD = CLOSES_AFTER
"""Jobs that wait in a lane for the end of a probe: they close the breaker of an endpoint that is back, and need not
come round again. More, or any while the lanes are half full, would leave others no room while probes hang."""

PROBE_POLL_S = 0.1
"""How soon they see how it ended."""

MAX_GATES = 10_000
"""Kept before those are looked for that are as good as new; about 500 bytes each. A worker that limits more
subscriptions than this keeps more."""

_FASTEST = 1_000.0
"""Requests a second, of a lane that has not finished one yet."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a job may not start now.

    Attributes:
        reason: in a word.
        wait_s: in how many seconds there may be a place.
        cooldown_s: what the breaker says, in seconds of the rules' clock; 0 while it is closed.
    """

    reason: str
    wait_s: float = 0.0
    cooldown_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Gate:
    breaker: Breaker = field(default_factory=Breaker)
    parking: Parking = field(default_factory=Parking)
    limit: RateLimit | None = None

    def limited(self, spec: RateLimitSpec | None) -> "RateLimit | None":
        """The limit as the subscription has it now; what was used of it stays used."""
        if spec is None:
            self.limit = None
        elif self.limit is None:
            self.limit = RateLimit(spec.per_second, spec.burst_size)
        else:
            self.limit.per_second, self.limit.burst = spec.per_second, spec.burst_size
        return self.limit

    def as_new(self, now_ms: int) -> bool:
        """Whether nothing is remembered that would matter."""
        full = self.limit is None or not self.limit.wait_s(now_ms, self.limit.burst - 1)
        return full and self.breaker.fresh and not self.parking.booked(now_ms)


class Gates:
    """The gates of all lanes of a worker.

    Args:
        now_ms: the clock, epoch milliseconds.
        scale: shortens cooldowns and parkings, for demonstrations; never a rate limit.
        spec_of: a job's subscription as it is now; `None` when it was deleted.
        told: called when a request's end opens or closes the breaker.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        scale: float,
        spec_of: Callable[[Job], SubscriptionSpec | None],
        told: Callable[[Job, BreakerState], None],
    ) -> None:
        self._now_ms = now_ms
        self._scale = scale
        self._spec_of = spec_of
        self._told = told
        self._gates: dict[str, _Gate] = {}
        self._sweep_at = MAX_GATES

    @property
    def open(self) -> int:
        """Breakers that are not closed."""
        return sum(gate.breaker.state is not BreakerState.CLOSED for gate in self._gates.values())

    def clear(self) -> None:
        """Forgets everything: the partitions go to others."""
        self._gates.clear()

    def hold_s(self, job: Job, ahead: int) -> float:
        """In how many seconds a job may leave its lane, after `ahead` that have left it and not begun."""
        if (places := self._places(job)) is not None and ahead >= places:
            return PROBE_POLL_S
        limit = self._limit(job)
        wait_s = limit.wait_s(self._now_ms(), ahead) if limit else 0.0
        return wait_s if wait_s <= LANE_WAIT_S else 0.0  # the limit was made lower meanwhile: it leaves, to be parked

    def stop(self, job: Job, load_of: Callable[[Job], Load]) -> Stop | None:
        """Why a job has to be put aside before it has entered its lane; `None` when it may enter."""
        cooldown_s = self._cooldown_s(job)
        if (places := self._places(job)) is not None:
            load = load_of(job)
            if load.ahead >= places and (load.ahead >= MAX_HELD or load.crowded or load.half_full):
                return Stop(BROKEN, 0.0, cooldown_s or PROBE_S)
        elif cooldown_s:
            return Stop(BROKEN, 0.0, cooldown_s)
        if (limit := self._limit(job)) is None:
            return None
        load = load_of(job)
        wait_s = limit.wait_s(self._now_ms(), load.ahead)
        if wait_s > LANE_WAIT_S or (wait_s and load.crowded):
            return Stop(LIMITED, wait_s)
        return None

    def enter(self, job: Job) -> Stop | None:
        """Takes what a request needs; `None` when it may start now, and then `ended` must be told of its end."""
        if cooldown_s := self._cooldown_s(job):
            return Stop(BROKEN, 0.0, cooldown_s)
        limit = self._limit(job)
        if limit and (wait_s := limit.take(self._now_ms())):
            return Stop(LIMITED, wait_s)
        gate = self._gates.get(job.lane)
        job.breaker_round = gate.breaker.started() if gate else 0
        return None

    def ended(self, job: Job, answer: Answer | None) -> None:
        """A request ended; `None` when nobody knows how."""
        gate = self._gates.get(job.lane)
        if gate is None:
            if answer is None or answer.success or not self._breaks(job):
                return
            gate = self._gate(job.lane)
            job.breaker_round = gate.breaker.started()
        before = gate.breaker.state
        gate.breaker.ended(job.breaker_round, self._stretched_ms(), answer if self._breaks(job) else None)
        after = gate.breaker.state
        if after is not before:
            self._told(job, after)

    def delay_s(self, job: Job, stop: Stop, load: Load) -> float:
        """For how long a job is to be put aside, in seconds as they pass here."""
        per_second = min(load.per_second, _FASTEST)
        if (limit := self._limit_spec(job)) is not None:
            per_second = min(per_second, limit.per_second)
        gate = self._gate(job.lane)
        return self._scale * gate.parking.delay_s(
            self._stretched_ms(),
            in_vain=times_in_vain(job.delivery.parks, gate.breaker.state),
            cooldown_s=stop.cooldown_s,
            place_s=max(stop.wait_s, load.drains_in_s) / self._scale,
            per_second=per_second * self._scale,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
        )

    def _cooldown_s(self, job: Job) -> float:
        gate = self._gates.get(job.lane)
        if gate is None or job.ends_unsent:
            return 0.0
        if not self._breaks(job):
            if not gate.breaker.fresh:
                gate.breaker = Breaker()
            return 0.0
        return gate.breaker.admit(self._stretched_ms())

    def _places(self, job: Job) -> int | None:
        gate = self._gates.get(job.lane)
        return gate.breaker.places if gate and not job.ends_unsent and self._breaks(job) else None

    def _limit(self, job: Job) -> RateLimit | None:
        if job.ends_unsent:
            return None
        if (limit := self._limit_spec(job)) is None:
            gate = self._gates.get(job.lane)
            return gate.limited(None) if gate else None
        return self._gate(job.lane).limited(limit)

    def _limit_spec(self, job: Job) -> RateLimitSpec | None:
        spec = self._spec_of(job)
        return spec.rate_limit if spec else None

    def _breaks(self, job: Job) -> bool:
        spec = self._spec_of(job)
        return spec is None or spec.circuit_breaker

    def _gate(self, lane: str) -> _Gate:
        gate = self._gates.get(lane)
        if gate is None:
            self._sweep()
            gate = self._gates[lane] = _Gate()
        return gate

    def _sweep(self) -> None:
        if len(self._gates) < self._sweep_at:
            return
        now_ms = self._now_ms()
        self._gates = {lane: gate for lane, gate in self._gates.items() if not gate.as_new(now_ms)}
        self._sweep_at = max(MAX_GATES, 2 * len(self._gates))

    def _stretched_ms(self) -> int:
        # The rules know streams of five seconds and more; a demonstration's pass faster, and so does their time.
        return round(self._now_ms() / self._scale)
