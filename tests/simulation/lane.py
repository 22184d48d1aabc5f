"""A lane as deliver has one for each subscription: what waits and runs, and the rules that let it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rules.breaker import Breaker
from rules.parking import Parking
from rules.rate_limit import RateLimit
from schemas.delivery import Delivery
from tests.simulation.scenario import Target


@dataclass(eq=False)
class Job:
    """One attempt to make; `offsets` are of the records that are finished with it."""

    delivery: Delivery
    target: int
    offsets: list[int]
    until_ms: int = 0
    round: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What must not be made twice."""
        return (self.delivery.delivery_id, self.delivery.attempt)

    @property
    def park_key(self) -> tuple[str, int, int]:
        """What must not be parked twice."""
        return (*self.key, self.delivery.parks)


@dataclass(frozen=True)
class Rules:
    """The rules that a world runs on; a test that plants an error hands others in."""

    breaker: Callable[[], Breaker] = Breaker
    parking: Callable[[], Parking] = Parking
    rate: Callable[[float, int], RateLimit] = RateLimit


@dataclass(eq=False)
class Lane:
    """One subscription's."""

    breaker: Breaker
    parking: Parking
    rate: RateLimit | None
    waiting: deque[Job] = field(default_factory=deque)
    running: int = 0
    duration_s: float = 0.1
    asleep_until_ms: int = 0

    def per_second(self, target: Target) -> float:
        """How many the endpoint takes."""
        by_time = target.max_in_flight / max(self.duration_s, 0.001)
        return min(by_time, self.rate.per_second) if self.rate else by_time

    def drains_in_s(self, target: Target) -> float:
        """How long the last one waits."""
        return len(self.waiting) / self.per_second(target)

    def took(self, duration_ms: int) -> None:
        """A request ended."""
        self.duration_s += 0.2 * (duration_ms / 1_000 - self.duration_s)


def lane_of(rules: Rules, target: Target) -> Lane:
    """A new worker's lane."""
    return Lane(rules.breaker(), rules.parking(), rules.rate(*target.rate) if target.rate else None)
