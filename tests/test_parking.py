"""When parked deliveries come again: not all at once, not too often, and soon after the endpoint is back."""

import heapq

from hypothesis import given
from hypothesis import strategies as st

from rules.ladder import Ladder
from rules.parking import ESCALATION_S, MAX_ESCALATION_S, MAX_HOPS, MAX_PARK_S, Parking
from rules.retry_after import MAX_RETRY_AFTER_S
from schemas.streams import PARK_TIERS

NOW_MS = 1_800_000_000_000
LADDER = Ladder(PARK_TIERS)


def delay_s(parking: Parking, now_ms: int = NOW_MS, parks: int = 0, cooldown_s: float = 0, rate: float = 100) -> float:
    return parking.delay_s(
        now_ms, parks=parks, probing=False, cooldown_s=cooldown_s, place_s=0, per_second=rate, jitter=0
    )


def hops_of(delay: float) -> int:
    left_ms, hops = delay * 1_000, 0
    while left_ms > 0:
        tier = LADDER.next_tier(left_ms)
        assert tier is not None
        left_ms -= LADDER.tier_ms(tier)
        hops += 1
    return hops


@given(
    st.lists(
        st.tuples(
            st.integers(-10_000, 100_000),
            st.integers(0, 500),
            st.just(0.0) | st.floats(0.001, MAX_RETRY_AFTER_S),
            st.floats(0, 10_000),
            st.floats(0.001, 10_000),
            st.floats(0, 1, exclude_max=True),
        ),
        max_size=50,
    )
)
def test_a_delay_is_never_shorter_than_what_stands_in_the_way_and_takes_few_hops(
    steps: list[tuple[int, int, float, float, float, float]],
) -> None:
    parking, now_ms = Parking(), NOW_MS
    for gap_ms, parks, cooldown_s, place_s, rate, jitter in steps:
        now_ms += gap_ms
        told_s = parking.delay_s(
            now_ms, parks=parks, probing=False, cooldown_s=cooldown_s, place_s=place_s, per_second=rate, jitter=jitter
        )
        assert told_s >= max(cooldown_s, place_s, ESCALATION_S) - 0.001
        assert told_s >= min(ESCALATION_S * 2**parks, MAX_ESCALATION_S)
        assert told_s <= max(cooldown_s, place_s, MAX_PARK_S) + MAX_PARK_S
        assert hops_of(told_s) <= 3 * MAX_HOPS


def test_deliveries_come_again_as_fast_as_the_endpoint_takes_them() -> None:
    parking = Parking()
    delays = [delay_s(parking, rate=50) for _ in range(3_000)]
    for window_s in range(0, 60, 5):
        assert sum(window_s < delay <= window_s + 5 for delay in delays) <= 5 * 50 + 1
    assert max(delays) <= 60


def test_one_comes_as_a_probe_and_the_others_stay_away_meanwhile() -> None:
    parking = Parking()
    assert [delay_s(parking, cooldown_s=5) for _ in range(3)] == [5, 10, 15]


def test_an_outages_slowness_does_not_slow_the_return_down() -> None:
    parking = Parking()
    delays = [delay_s(parking, cooldown_s=300, rate=0.1) for _ in range(1_000)]
    assert max(delays) <= 300 + 1_000 / 10 + 120


def comings_back(waiting: int, hours: int) -> list[int]:
    """How many come in each minute, of deliveries that wait for an endpoint that is dead for hours."""
    parking, minutes = Parking(), [0] * (hours * 60)
    flood = [(NOW_MS + number // 2, 0) for number in range(waiting)]
    while flood:
        now_ms, parks = heapq.heappop(flood)
        minute = (now_ms - NOW_MS) // 60_000
        if minute >= len(minutes):
            continue
        minutes[minute] += 1
        jitter = len(flood) * 0.618 % 1
        told_s = parking.delay_s(
            now_ms, parks=parks, probing=False, cooldown_s=300, place_s=0, per_second=1_000, jitter=jitter
        )
        heapq.heappush(flood, (now_ms + round(told_s * 1_000), parks + 1))
    return minutes


def test_a_flood_for_a_dead_endpoint_is_no_busy_loop() -> None:
    flood = comings_back(20_000, 4)
    assert sum(flood[1:]) / 60 / len(flood) < 100
    assert sum(flood) / 20_000 < 4 * 3_600 / 300
    few = comings_back(100, 4)
    assert sum(few) / 100 < 8 + 4 * 3_600 / 300
    assert sum(few[-10:]) > 0
