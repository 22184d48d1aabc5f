"""What lets a request go: no more than the rate limit, nothing while the breaker is open, and what waits comes back."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from processors.deliver.gates import BROKEN, CROWDED, LANE_WAIT_S, LIMITED, MAX_GATES, MAX_HELD, Gates, Stop
from processors.deliver.job import Job
from processors.deliver.lanes import LaneLimits, Lanes, Load
from rules.breaker import PROBE_S, BreakerState
from rules.retry import Answer
from schemas.config import SubscriptionSpec
from tests.test_lanes import job

EMPTY = Load(ahead=0, drains_in_s=0.0, per_second=200.0, crowded=False)


def behind(ahead: int, *, crowded: bool = False) -> Callable[[Job], Load]:
    return lambda _: Load(ahead, 0.0, 200.0, crowded)


OVERLOAD, SUCCESS = Answer(status_code=503), Answer(status_code=200)


class Bench:
    """Gates under a clock that is told the time, and what they told."""

    def __init__(self, scale: float = 1.0) -> None:
        self.now_ms = 1_800_000_000_000
        self.told: list[tuple[str, BreakerState]] = []
        self.specs: dict[str, SubscriptionSpec] = {}
        self.numbers = iter(range(1_000_000))
        self.gates = Gates(lambda: self.now_ms, scale, self.spec_of, self.tell)

    def spec_of(self, job: Job) -> SubscriptionSpec | None:
        return self.specs.get(job.lane)

    def tell(self, job: Job, state: BreakerState) -> None:
        self.told.append((job.lane, state))

    def job(self, lane: str = "a", **limit: Any) -> Job:
        self.subscribe(lane, rate_limit=limit or None)
        return job(lane, next(self.numbers), max_in_flight=20)

    def subscribe(self, lane: str, **fields: Any) -> None:
        document = {"id": lane, "topic_id": "t", "target_url": "https://example.com/", **fields}
        self.specs[lane] = SubscriptionSpec.model_validate(document)

    def fail(self, times: int, lane: str = "a", answer: Answer = OVERLOAD) -> None:
        for _ in range(times):
            each = self.job(lane)
            if self.gates.enter(each) is None:
                self.gates.ended(each, answer)


def test_without_a_limit_and_a_failure_everything_goes_and_nothing_is_remembered() -> None:
    bench = Bench()
    for _ in range(1_000):
        each = bench.job()
        assert bench.gates.stop(each, behind(0)) is None
        assert bench.gates.hold_s(each, 19) == 0
        assert bench.gates.enter(each) is None
        bench.gates.ended(each, SUCCESS)
    assert not bench.gates._gates  # a hundred thousand healthy subscriptions cost nothing


def test_a_burst_goes_at_once_and_the_rest_as_fast_as_the_limit_says() -> None:
    bench = Bench()
    went = [bench.gates.enter(bench.job(per_second=10, burst=5)) for _ in range(7)]
    assert went == [None] * 5 + [Stop(LIMITED, 0.1)] * 2
    bench.now_ms += 100
    assert [bench.gates.enter(bench.job(per_second=10, burst=5)) for _ in range(2)] == [None, Stop(LIMITED, 0.1)]


def test_a_short_wait_is_for_the_lane_and_a_long_one_for_the_park_streams() -> None:
    bench, limit = Bench(), dict[str, Any](per_second=10, burst=10)
    stops = [bench.gates.stop(bench.job(**limit), behind(ahead)) for ahead in (0, 59, 60, 500)]
    assert stops == [None, None, Stop(LIMITED, 5.1), Stop(LIMITED, 49.1)]
    assert bench.gates.stop(bench.job(**limit), behind(30, crowded=True)) == Stop(
        LIMITED, 2.1
    )  # and holds the reader up for nobody


def test_a_limit_that_is_lifted_limits_no_more_and_a_new_one_begins_with_its_burst() -> None:
    bench = Bench()
    assert bench.gates.enter(bench.job(per_second=1)) is None
    assert bench.gates.enter(bench.job(per_second=1)) == Stop(LIMITED, 1.0)
    assert bench.gates.enter(bench.job()) is None
    assert bench.gates.enter(bench.job(per_second=1)) is None


def test_overloads_open_the_breaker_of_their_own_subscription_and_a_probe_finds_it_alive() -> None:
    bench = Bench()
    bench.fail(5)
    assert bench.told == [("a", BreakerState.OPEN)]
    assert bench.gates.open == 1
    stop = bench.gates.stop(bench.job(), behind(0))
    assert stop == bench.gates.enter(bench.job()) == Stop(BROKEN, cooldown_s=5.0)
    assert bench.gates.stop(bench.job("b"), behind(0)) is None

    bench.now_ms += 5_000
    probe = bench.job()
    assert bench.gates.enter(probe) is None
    second = bench.gates.enter(bench.job())
    assert second is not None
    assert second.reason == BROKEN
    bench.gates.ended(probe, SUCCESS)
    for _ in range(4):
        more = bench.job()
        assert bench.gates.enter(more) is None
        bench.gates.ended(more, SUCCESS)
    assert bench.told[1:] == [("a", BreakerState.HALF_OPEN), ("a", BreakerState.CLOSED)][-len(bench.told[1:]) :]
    assert bench.gates.open == 0


def test_what_comes_with_a_probe_waits_in_its_lane_for_the_end_of_it() -> None:
    bench = Bench()
    bench.fail(5)
    bench.now_ms += 5_000
    probe = bench.job()
    assert bench.gates.enter(probe) is None
    stops = [bench.gates.stop(bench.job(), behind(ahead)) for ahead in (0, MAX_HELD - 1, MAX_HELD)]
    assert stops == [None, None, Stop(BROKEN, cooldown_s=5.0)]
    waiting = bench.job()
    assert bench.gates.hold_s(waiting, 0) > 0
    bench.gates.ended(probe, SUCCESS)  # two may be on the wire now
    assert [bench.gates.hold_s(waiting, ahead) > 0 for ahead in (0, 1, 2)] == [False, False, True]


def test_what_comes_before_the_probe_has_begun_does_not_fill_its_lane_either() -> None:
    bench = Bench()
    bench.fail(5)
    bench.now_ms += 5_000
    stops = [bench.gates.stop(bench.job(), behind(ahead)) for ahead in (0, 1, MAX_HELD - 1, MAX_HELD, 499)]
    assert stops == [None, None, None, *[Stop(BROKEN, cooldown_s=PROBE_S)] * 2]
    assert bench.gates.stop(bench.job(), behind(1, crowded=True)) == Stop(BROKEN, cooldown_s=PROBE_S)


async def test_endpoints_whose_probes_hang_leave_room_in_the_lanes_for_all_others() -> None:
    bench, wire, crashed = Bench(), asyncio.Event(), list[BaseException]()

    async def run(each: Job) -> None:
        assert bench.gates.enter(each) is None
        lanes.begun(each)
        await wire.wait()
        bench.gates.ended(each, None)

    limits = LaneLimits(jobs=250)
    lanes = Lanes(run, crashed.append, limits, hold_s=bench.gates.hold_s)
    for number in range(100):  # twenty times as many as could each have all that may be held
        bench.fail(5, f"dead-{number}")
    bench.now_ms += 5_000
    for number in range(100):
        for _ in range(50):
            each = bench.job(f"dead-{number}")
            if bench.gates.stop(each, lanes.load) is None:
                async with asyncio.timeout(1):
                    await lanes.admit(each)
        await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert await lanes.admit(bench.job("well"))
    assert len(lanes.running) == 101
    lanes.clear()
    wire.set()
    while lanes.running:
        await asyncio.sleep(0)
    assert not crashed


def test_what_waited_for_a_probe_that_failed_leaves_its_lane_to_be_put_aside() -> None:
    bench = Bench()
    bench.fail(5)
    bench.now_ms += 5_000
    probe, waiting = bench.job(), bench.job()
    assert bench.gates.enter(probe) is None
    assert bench.gates.stop(waiting, behind(0)) is None
    bench.gates.ended(probe, OVERLOAD)
    assert bench.gates.hold_s(waiting, 0) == 0
    assert bench.gates.enter(waiting) == Stop(BROKEN, cooldown_s=10.0)


def test_a_probe_that_is_cancelled_lets_another_one_go() -> None:
    bench = Bench()
    bench.fail(5)
    bench.now_ms += 5_000
    probe = bench.job()
    assert bench.gates.enter(probe) is None
    bench.gates.ended(probe, None)
    assert bench.gates.enter(bench.job()) is None


def test_a_subscription_without_a_breaker_has_every_attempt_and_switching_it_off_is_enough() -> None:
    bench = Bench()
    bench.fail(5)
    each = bench.job()
    bench.subscribe("a", circuit_breaker=False)
    assert bench.gates.stop(each, behind(0)) is None
    for _ in range(100):
        assert bench.gates.enter(each) is None
        bench.gates.ended(each, OVERLOAD)
    assert bench.gates.open == 0


def test_what_ends_without_a_request_is_stopped_by_nothing() -> None:
    bench = Bench()
    bench.fail(5)
    ends = bench.job(per_second=1)
    ends.ends_unsent = True
    assert bench.gates.stop(ends, behind(1_000)) is None
    assert bench.gates.hold_s(ends, 1_000) == 0


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_what_waits_for_an_open_breaker_comes_after_the_cooldown_and_spread(scale: float) -> None:
    bench = Bench(scale)
    bench.fail(5)
    stop = bench.gates.stop(bench.job(), behind(0))
    assert stop is not None
    delays_s = [bench.gates.delay_s(bench.job(), stop, EMPTY) / scale for _ in range(10_000)]
    assert min(delays_s) == 5
    assert 100 <= max(delays_s) <= 1_200
    assert max(delays_s.count(delay_s) for delay_s in set(delays_s)) <= 100 * 120


def test_what_came_in_vain_for_long_is_taken_within_two_minutes_once_the_endpoint_is_back() -> None:
    bench, answer_ms = Bench(), 20
    bench.fail(5)
    waiting = []
    for number in range(50):
        each = bench.job()
        each.delivery = replace(each.delivery, parks=8)
        waiting.append((bench.now_ms + 320_000, number, each))  # those that came together come together again
    taken_ms, on_the_wire = list[int](), list[tuple[int, Job]]()
    while waiting:
        bench.now_ms, number, each = heapq.heappop(waiting)
        for begun in [begun for begun in on_the_wire if begun[0] <= bench.now_ms]:
            on_the_wire.remove(begun)
            bench.gates.ended(begun[1], SUCCESS)
        if (stop := bench.gates.stop(each, behind(0)) or bench.gates.enter(each)) is not None:
            delay_ms = round(bench.gates.delay_s(each, stop, EMPTY) * 1_000)
            each.delivery = replace(each.delivery, parks=each.delivery.parks + 1)
            heapq.heappush(waiting, (bench.now_ms + delay_ms, number, each))
        else:
            on_the_wire.append((bench.now_ms + answer_ms, each))
            taken_ms.append(bench.now_ms)
    assert taken_ms[-1] - taken_ms[0] <= 120_000


def test_what_waits_for_a_rate_limit_comes_back_no_faster_than_it() -> None:
    bench = Bench()
    stop = Stop(LIMITED, 5.0)
    delays_s = [bench.gates.delay_s(bench.job(per_second=20), stop, EMPTY) for _ in range(1_000)]
    for until_s in (10, 20, 30, 40, 50):
        assert sum(delay_s <= until_s for delay_s in delays_s) <= 20 * until_s


def test_an_overflow_comes_back_when_its_lane_will_have_drained() -> None:
    bench = Bench()
    load = Load(ahead=100, drains_in_s=40.0, per_second=2.0, crowded=True)
    delays_s = [bench.gates.delay_s(bench.job(), Stop(CROWDED), load) for _ in range(100)]
    assert min(delays_s) >= 40
    assert max(delays_s) >= 90


def test_another_owner_begins_anew() -> None:
    bench = Bench()
    bench.fail(5)
    bench.gates.clear()
    assert bench.gates.stop(bench.job(), behind(0)) is None
    assert bench.gates.open == 0


def test_gates_that_remember_nothing_any_more_are_dropped_and_others_never() -> None:
    bench = Bench()
    bench.fail(5, "dead")
    bench.gates.enter(bench.job("limited", per_second=0.001, burst=2))
    for number in range(MAX_GATES):
        bench.gates.hold_s(bench.job(f"idle-{number}", per_second=1), 0)
    kept = bench.gates._gates  # what is counted is memory
    assert len(kept) <= 4
    assert {"dead", "limited"} <= set(kept)


def test_what_would_wait_too_long_for_a_limit_that_was_lowered_leaves_its_lane_to_be_put_aside() -> None:
    bench = Bench()
    assert bench.gates.enter(bench.job(per_second=10, burst=1)) is None
    waiting = bench.job(per_second=10, burst=1)
    assert 0 < bench.gates.hold_s(waiting, 5) <= LANE_WAIT_S
    bench.subscribe("a", rate_limit={"per_second": 0.01, "burst": 1})
    assert bench.gates.hold_s(waiting, 5) == 0
