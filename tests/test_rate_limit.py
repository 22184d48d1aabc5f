"""A rate limit is exact: never one more than allowed, and never one less."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rules.rate_limit import RateLimit

NOW_MS = 1_800_000_000_000

rates = st.integers(1, 10_000) | st.floats(0.01, 10_000)
bursts = st.integers(1, 200)
gaps_ms = st.lists(st.integers(0, 50) | st.integers(0, 10_000), max_size=300)


def times_of(gaps: list[int]) -> list[int]:
    now_ms, times = NOW_MS, []
    for gap in gaps:
        now_ms += gap
        times.append(now_ms)
    return times


@given(rates, bursts, gaps_ms)
def test_no_window_has_more_than_the_burst_and_its_share(per_second: float, burst: int, gaps: list[int]) -> None:
    limit = RateLimit(per_second, burst)
    taken = [now_ms for now_ms in times_of(gaps) if not limit.take(now_ms)]
    for first, start_ms in enumerate(taken):
        for count, end_ms in enumerate(taken[first:], 1):
            assert count <= burst + Fraction(end_ms - start_ms, 1_000) * Fraction(per_second)


@given(rates, bursts, st.integers(1, 300))
def test_whoever_asks_again_when_told_to_gets_every_place_there_is(per_second: float, burst: int, wanted: int) -> None:
    burst += math.ceil(per_second / 1_000)  # a millisecond's places, because that is as soon as anybody comes
    limit = RateLimit(per_second, burst)
    now_ms = NOW_MS
    for number in range(wanted):
        while delay_s := limit.take(now_ms):
            now_ms += round(delay_s * 1_000)
        place_ms = max(number - burst + 1, 0) / per_second * 1_000
        assert now_ms - NOW_MS <= math.ceil(place_ms) + 1


@given(rates, bursts, gaps_ms)
def test_one_millisecond_earlier_than_told_there_is_no_place(per_second: float, burst: int, gaps: list[int]) -> None:
    limit = RateLimit(per_second, burst)
    for now_ms in times_of(gaps):
        if delay_s := limit.take(now_ms):
            told_ms = now_ms + round(delay_s * 1_000)
            assert told_ms - 1 == now_ms or limit.take(told_ms - 1)
            assert not limit.take(told_ms)
            return


@given(rates, bursts, st.integers(0, 300), st.integers(0, 10**11))
def test_a_clock_that_was_set_back_costs_one_place_at_most(
    per_second: float, burst: int, taken: int, back: int
) -> None:
    limit = RateLimit(per_second, burst)
    for _ in range(taken):
        limit.take(NOW_MS)
    assert limit.take(NOW_MS - back) <= math.ceil(1_000 / per_second + 1) / 1_000


def test_a_limit_that_is_raised_gives_no_second_burst() -> None:
    limit = RateLimit(1, 5)
    assert [limit.take(NOW_MS) for _ in range(5)] == [0] * 5
    limit.per_second = 2
    assert limit.take(NOW_MS) == 0.5
    limit.burst = 6
    assert limit.take(NOW_MS) == 0
    assert limit.take(NOW_MS) == 0.5


@given(rates, bursts, gaps_ms, st.integers(0, 20))
def test_the_wait_behind_others_is_when_one_more_has_its_place(
    per_second: float, burst: int, gaps: list[int], ahead: int
) -> None:
    limit, now_ms = RateLimit(per_second, burst), NOW_MS
    for now_ms in times_of(gaps):
        limit.take(now_ms)
    expected_ms, at_ms = now_ms + limit.wait_s(now_ms, ahead) * 1_000, now_ms
    for _ in range(ahead + 1):
        while wait_s := limit.take(at_ms):
            at_ms += math.ceil(wait_s * 1_000)
    assert abs(at_ms - expected_ms) <= ahead + 1  # whole milliseconds: each comes up to one later than it could


@given(rates, st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 50)), max_size=100))
def test_several_places_are_taken_together_or_not_at_all(per_second: float, asked: list[tuple[int, int]]) -> None:
    together, one_by_one, now_ms = RateLimit(per_second, 50), RateLimit(per_second, 50), NOW_MS
    for gap, count in asked:
        now_ms += gap
        free, _ = together.left(now_ms)
        assert free == one_by_one.left(now_ms)[0]
        assert bool(together.take(now_ms, count)) == (count > free)
        if count <= free:
            assert not any(one_by_one.take(now_ms) for _ in range(count))


@given(rates, bursts, gaps_ms)
def test_the_free_places_are_those_that_can_be_taken_now(per_second: float, burst: int, gaps: list[int]) -> None:
    limit = RateLimit(per_second, burst)
    for now_ms in times_of(gaps):
        limit.take(now_ms)
    now_ms = times_of(gaps)[-1] if gaps else NOW_MS
    free, settled_s = limit.left(now_ms)
    assert limit.left(now_ms + math.ceil(settled_s * 1_000)) == (burst, 0)
    assert [bool(limit.take(now_ms)) for _ in range(free + 1)] == [False] * free + [True]
