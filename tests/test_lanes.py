"""Lanes share one buffer and never let one endpoint take all of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from processors.deliver.job import Job
from processors.deliver.lanes import LaneLimits, Lanes
from schemas.delivery import Delivery


def job(lane: str, number: int, *, max_in_flight: int = 2, body: bytes = b"") -> Job:
    delivery = Delivery(
        delivery_id=f"{lane}-{number}",
        event_id="e",
        subscription_id=lane,
        topic_id="t",
        source_id="s",
        event_type="push",
        generation=0,
        config_version=0,
        received_ms=0,
        body=body,
    )
    return Job(delivery=delivery, partition=0, assignment=1, max_in_flight=max_in_flight)


@pytest.fixture(autouse=True)
async def _nothing_goes_on_after_a_test() -> AsyncIterator[None]:
    yield
    while left := asyncio.all_tasks() - {asyncio.current_task()}:  # each one that ends makes room for another
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class Endpoints:
    """Endpoints that answer when they are told to, and books of what they saw."""

    def __init__(self) -> None:
        self.answers: dict[str, asyncio.Event] = {}
        self.running: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.served: list[str] = []

    async def run(self, job: Job) -> None:
        self.running[job.lane] += 1
        self.peak[job.lane] = max(self.peak[job.lane], self.running[job.lane])
        await self.answers.setdefault(job.lane, asyncio.Event()).wait()
        self.running[job.lane] -= 1
        self.served.append(job.delivery.delivery_id)

    def answer(self, lane: str) -> None:
        self.answers.setdefault(lane, asyncio.Event()).set()


def crashed(error: BaseException) -> None:
    raise error


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_lane_never_runs_more_than_its_limit_and_finishes_in_order() -> None:
    endpoints = Endpoints()
    lanes = Lanes(endpoints.run, crashed)
    for number in range(10):
        assert await lanes.admit(job("a", number))
    await settle()
    assert endpoints.running["a"] == 2
    endpoints.answer("a")
    await settle()
    assert endpoints.served == [f"a-{number}" for number in range(10)]
    assert endpoints.peak["a"] == 2
    assert lanes.jobs == 0


class Clock:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_hanging_lanes_park_their_overflow_and_leave_room_for_a_healthy_one() -> None:
    endpoints, clock = Endpoints(), Clock()
    lanes = Lanes(endpoints.run, crashed, LaneLimits(running=50, jobs=100), clock)
    slow = ("slow1", "slow2", "slow3")
    for lane in slow:
        await lanes.admit(job(lane, 0))
    await settle()
    clock.now_s = 10.0  # by now they have shown that they hang
    taken = [await lanes.admit(job(lane, number)) for number in range(1, 200) for lane in slow]
    assert 60 < sum(taken) < 90
    endpoints.answer("healthy")
    assert await asyncio.wait_for(lanes.admit(job("healthy", 0)), 1)
    await settle()
    assert endpoints.served == ["healthy-0"]


async def test_a_lane_that_hangs_without_a_history_holds_the_reader_up_for_a_moment_only() -> None:
    endpoints = Endpoints()
    lanes = Lanes(endpoints.run, crashed, LaneLimits(running=50, jobs=100, patience_s=2.0))
    taken = [await asyncio.wait_for(lanes.admit(job("hangs", number)), 10) for number in range(200)]
    assert not all(taken)


async def test_a_lane_tells_when_it_will_have_a_place_and_how_quick_it_is() -> None:
    endpoints, clock = Endpoints(), Clock()
    lanes = Lanes(endpoints.run, crashed, LaneLimits(running=50, jobs=20), clock)
    assert lanes.load(job("slow", 0)).drains_in_s == 0
    for number in range(11):
        await lanes.admit(job("slow", number))
    await settle()
    clock.now_s = 3.0  # two at a time, three seconds each
    load = lanes.load(job("slow", 11))
    assert (load.drains_in_s, load.per_second, load.crowded) == (13.5, 2 / 3, True)
    assert load.ahead == 11  # nobody has told that the two have begun


class Slots:
    """A rate limit whose next place comes when it is told to."""

    def __init__(self) -> None:
        self.places = 0
        self.asked = 0

    def hold_s(self, _: Job, ahead: int) -> float:
        self.asked += 1
        return 0.0 if ahead < self.places else 0.02


async def test_a_job_without_a_place_of_its_rate_limit_waits_in_its_lane_and_holds_no_place_in_flight() -> None:
    endpoints, slots = Endpoints(), Slots()
    lanes = Lanes(endpoints.run, crashed, LaneLimits(running=2), hold_s=slots.hold_s)
    jobs = [job("limited", number) for number in range(3)]
    for each in jobs:
        assert await lanes.admit(each)
    await settle()
    assert (len(lanes.running), slots.asked) == (0, 1)  # one timer, whoever waits behind it
    slots.places = 1
    await until_true(lambda: bool(lanes.running))
    await settle()
    assert list(lanes.running.values()) == jobs[:1]  # the one place is not given twice, before it is taken
    lanes.begun(jobs[0])
    lanes.begun(jobs[0])
    endpoints.answer("limited")
    await until_true(lambda: len(endpoints.served) == 3 and lanes.load(jobs[0]).ahead == 0)


async def test_what_waits_for_its_rate_limit_can_be_taken_back_and_never_starts() -> None:
    endpoints, slots = Endpoints(), Slots()
    lanes = Lanes(endpoints.run, crashed, hold_s=slots.hold_s)
    held = job("limited", 0)
    await lanes.admit(held)
    assert lanes.clear() == [held]
    slots.places = 9
    await lanes.admit(job("limited", 1))
    await settle()
    assert [running.delivery.delivery_id for running in lanes.running.values()] == ["limited-1"]


async def until_true(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.005)


async def test_a_full_buffer_makes_the_reader_wait_until_something_ends() -> None:
    endpoints = Endpoints()
    lanes = Lanes(endpoints.run, crashed, LaneLimits(running=4, jobs=4))
    for number in range(4):
        assert await lanes.admit(job("a", number, max_in_flight=10))
    waiting = asyncio.create_task(lanes.admit(job("b", 0)))
    await settle()
    assert not waiting.done()
    endpoints.answer("a")
    assert await asyncio.wait_for(waiting, 1)


async def test_the_buffer_is_bounded_in_bytes_too() -> None:
    endpoints = Endpoints()
    lanes = Lanes(endpoints.run, crashed, LaneLimits(bytes=10_000))
    for number in range(2):
        assert await lanes.admit(job("a", number, body=b"x" * 5_000))
    waiting = asyncio.create_task(lanes.admit(job("b", 0)))
    await settle()
    assert not waiting.done()
    endpoints.answer("a")
    assert await asyncio.wait_for(waiting, 1)


async def test_what_has_not_started_can_be_taken_back() -> None:
    endpoints = Endpoints()
    lanes = Lanes(endpoints.run, crashed)
    for number in range(5):
        await lanes.admit(job("a", number))
    await settle()
    assert [dropped.delivery.delivery_id for dropped in lanes.clear()] == ["a-2", "a-3", "a-4"]
    endpoints.answer("a")
    await settle()
    assert endpoints.served == ["a-0", "a-1"]
    assert lanes.jobs == 0


async def test_an_unexpected_error_is_told_and_frees_the_place() -> None:
    told: list[BaseException] = []

    async def fail(_: Job) -> None:
        raise ZeroDivisionError

    lanes = Lanes(fail, told.append)
    await lanes.admit(job("a", 0))
    await settle()
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert lanes.jobs == 0
