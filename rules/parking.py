"""When a delivery comes again that finds no place now: its lane is full, its rate used up or its breaker open.

Each one is given a place behind all that were given one before, as far apart as the endpoint takes them. What comes
round in a second is therefore what the endpoint can take in a second, whether ten wait for it or a million. While the
breaker is not closed, its pace is bounded from both sides. A place further away than the longest park stream is not
booked: it comes again after that stream, and a million make 280 a second.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from rules.breaker import PROBE_S, BreakerState
from schemas.streams import PARK_TIERS

MAX_PARK_S = float(PARK_TIERS[-1].delay_s)

ESCALATION_S = float(PARK_TIERS[0].delay_s)
"""At least this long, while the breaker is open twice as long at each repetition: whoever comes in vain comes less
often."""

MAX_ESCALATION_S = 320.0
"""As long as the longest cooldown: an endpoint that is back gets what waits for it within minutes."""

MAX_PROBED_REPETITIONS = 2
"""As many as count while the endpoint is probed: 20 s, so that the probe has been answered or has timed out. Those that
came in vain together come together again, and all but the few that close a breaker would be sent away for minutes."""

SLOWEST_WHILE_OPEN = 10.0
FASTEST_WHILE_OPEN = 100.0
"""A second. How long requests took in an outage says nothing of how fast the endpoint is when it is back; and what
comes in vain costs about a millisecond of CPU each time."""

MAX_HOPS = 12
"""In one park stream: each hop copies the body. A longer way is rounded up to the next stream."""


@dataclass(slots=True)
class Parking:
    """The places of one subscription's parked deliveries; lives as long as its worker."""

    _booked_until_ms: float = 0.0

    def booked(self, now_ms: int) -> bool:
        """Whether there are places that have not come yet."""
        return self._booked_until_ms > now_ms

    def delay_s(
        self,
        now_ms: int,
        *,
        in_vain: int,
        cooldown_s: float,
        place_s: float,
        per_second: float,
        jitter: float,
    ) -> float:
        """Books a place.

        Args:
            now_ms: epoch milliseconds.
            in_vain: what `times_in_vain` says.
            cooldown_s: what the breaker answered; 0 while it is closed.
            place_s: in how many seconds lane and rate limit have a place after all that they hold already.
            per_second: how many the endpoint takes: the rate limit, or requests in flight by their duration; above 0.
            jitter: a random number in [0, 1).

        Returns:
            Seconds; not below `cooldown_s` and the escalation, and reached in few hops.
        """
        if cooldown_s:
            per_second = min(max(per_second, SLOWEST_WHILE_OPEN), FASTEST_WHILE_OPEN)
        first_ms = now_ms + max(cooldown_s, place_s) * 1_000
        place_ms = max(first_ms, min(self._booked_until_ms, now_ms + MAX_PARK_S * 1_000))
        probe = cooldown_s and place_ms == first_ms  # the others do not come while it is on the wire
        self._booked_until_ms = place_ms + (PROBE_S if probe else 1 / per_second) * 1_000
        escalation_s = min(ESCALATION_S * 2 ** min(in_vain, MAX_HOPS), MAX_ESCALATION_S)
        return _reached_s(max((place_ms - now_ms) / 1_000, escalation_s), in_vain, jitter)


def times_in_vain(parks: int, state: BreakerState) -> int:
    """How often a delivery that was put aside so often has come for nothing, as far as that says anything now."""
    if state is BreakerState.OPEN:
        return parks
    return min(parks, MAX_PROBED_REPETITIONS) if state is BreakerState.HALF_OPEN else 0


def _reached_s(delay_s: float, parks: int, jitter: float) -> float:
    hours_s = delay_s // MAX_PARK_S * MAX_PARK_S
    reached_s = hours_s + _in_few_hops_s(delay_s - hours_s)
    if reached_s >= MAX_PARK_S and not parks:  # a flood comes at once, and would come again at once
        reached_s += math.floor(jitter * MAX_HOPS) * PARK_TIERS[-2].delay_s
    return reached_s


def _in_few_hops_s(delay_s: float) -> float:
    for shorter, longer in pairwise(PARK_TIERS):
        if delay_s <= shorter.delay_s * MAX_HOPS:
            return float(math.ceil(delay_s / shorter.delay_s) * shorter.delay_s)
        if delay_s <= longer.delay_s:
            return float(longer.delay_s)
    return delay_s
