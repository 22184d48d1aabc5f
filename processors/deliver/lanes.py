"""A lane for each subscription: one slow endpoint fills its own lane and nobody else's.

All lanes share one buffer. A lane may hold as many waiting jobs as there are free places (dynamic threshold:
Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998), so any number of slow
endpoints together leave room for the others. Beyond that, a lane that drains quickly makes the reader wait for a
moment; one that does not sends its overflow to be parked. A job whose rate limit has no place yet stays in its lane, so
that it takes none of the places in flight.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from processors.deliver.job import Job
from processors.tasks import OnCrash


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may be going on.

    Attributes:
        running: requests in flight in this worker; beyond about 500 one core has nothing left to give.
        jobs: that wait or run in all lanes: that many are read again after a crash.
        bytes: as above; with the fetch buffers it bounds the worker's memory.
        patience_s: a lane that will have drained by then makes the reader wait; parking would take as long.
    """

    running: int = 500
    jobs: int = 2_000
    bytes: int = 67_108_864
    patience_s: float = 5.0


_FIRST_DURATION_S = 0.1
"""What a job is expected to take in a lane that has not finished one yet."""

_SHORTEST_S = 0.001
"""No request is quicker, whatever a coarse clock says."""

_RECONSIDER_S = 0.1
"""How often a waiting reader asks again whether its lane moves: an endpoint that hangs ends no job to say so."""

_KEPT_LANES = 10_000
"""Idle lanes that are remembered with how slow they were; about 500 bytes each."""

_WEIGHT = 0.2
"""Of the newest duration in the moving average: about the last ten jobs count."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a lane holds already.

    Attributes:
        ahead: jobs that come before a new one and have not begun.
        drains_in_s: when the last of them will have found a place in flight, as far as the last requests tell.
        per_second: how many it finishes when it is full.
        crowded: there is no room for another.
        half_full: all lanes together have less than half of their room left.
    """

    ahead: int
    drains_in_s: float
    per_second: float
    crowded: bool
    half_full: bool = False


@dataclass(slots=True, eq=False)
class _Lane:
    started_s: dict[asyncio.Task[None], float] = field(default_factory=dict)  # of what runs, oldest first
    waiting: deque[Job] = field(default_factory=deque)
    waiting_bytes: int = 0
    duration_s: float = _FIRST_DURATION_S
    beginning: int = 0  # of what runs: have not got what the rate limit gives
    queued: bool = False  # stands in the round of lanes that can start something
    held: asyncio.TimerHandle | None = None  # wakes it when its rate limit has a place

    @property
    def running(self) -> int:
        return len(self.started_s)

    def drains_in_s(self, max_in_flight: int, now_s: float) -> float:
        """How long the last one in the lane will wait, as far as the last jobs and the oldest running one tell."""
        return len(self.waiting) * self.job_s(now_s) / max_in_flight

    def job_s(self, now_s: float) -> float:
        age_s = now_s - next(iter(self.started_s.values()), now_s)
        return max(self.duration_s, age_s)


class Lanes:
    """Runs jobs, each lane within its own limit, all lanes in turn.

    Args:
        run: makes one attempt; must not raise for anything that an endpoint does.
        on_crash: told of an error that nobody expected.
        limits: how much may be going on.
        monotonic_s: the clock.
        hold_s: in how many seconds a job may start, after so many of its lane that have started and not begun.
    """

    def __init__(
        self,
        run: Callable[[Job], Coroutine[Any, Any, None]],
        on_crash: OnCrash,
        limits: LaneLimits | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        hold_s: Callable[[Job, int], float] = lambda _job, _ahead: 0.0,
    ) -> None:
        self._run = run
        self._monotonic_s = monotonic_s
        self._on_crash = on_crash
        self._limits = limits or LaneLimits()
        self._hold_s = hold_s
        self._lanes: dict[str, _Lane] = {}
        self._round: deque[_Lane] = deque()
        self._jobs = 0
        self._bytes = 0
        self._left = asyncio.Event()
        self.running: dict[asyncio.Task[None], Job] = {}

    @property
    def jobs(self) -> int:
        """Jobs that wait or run."""
        return self._jobs

    def load(self, job: Job) -> Load:
        """What the job's lane holds before it."""
        lane, now_s = self._lanes.get(job.lane) or _Lane(), self._monotonic_s()
        return Load(
            ahead=lane.beginning + len(lane.waiting),
            drains_in_s=lane.drains_in_s(job.max_in_flight, now_s),
            per_second=job.max_in_flight / max(lane.job_s(now_s), _SHORTEST_S),
            crowded=self._full() or self._overflows(lane, job),
            half_full=2 * self._jobs >= self._limits.jobs or 2 * self._bytes >= self._limits.bytes,
        )

    async def admit(self, job: Job) -> bool:
        """Takes a job as soon as there is a place for it; false when its lane is too slow to wait for one."""
        while True:
            lane = self._lanes.setdefault(job.lane, _Lane())
            if not self._full() and not self._overflows(lane, job):
                self._enter(lane, job)
                return True
            now_s = self._monotonic_s()
            if not self._full() and lane.drains_in_s(job.max_in_flight, now_s) > self._limits.patience_s:
                return False
            await self._something_ended()

    def begun(self, job: Job) -> None:
        """A job that runs has what the rate limit gives, or will not ask for it any more."""
        if not job.begun:
            job.begun = True
            self._lanes[job.lane].beginning -= 1

    def clear(self) -> list[Job]:
        """Takes back every job that has not started."""
        dropped = [job for lane in self._lanes.values() for job in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.waiting_bytes = 0
            if lane.held is not None:
                lane.held.cancel()
                lane.held = None
        for job in dropped:
            self._leave(job)
        return dropped

    async def _something_ended(self) -> None:
        self._left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECONSIDER_S):
                await self._left.wait()

    def _full(self) -> bool:
        return self._jobs >= self._limits.jobs or self._bytes >= self._limits.bytes

    def _overflows(self, lane: _Lane, job: Job) -> bool:
        if lane.running < job.max_in_flight and not lane.held:
            return False
        free_jobs, free_bytes = self._limits.jobs - self._jobs, self._limits.bytes - self._bytes
        return len(lane.waiting) >= free_jobs or lane.waiting_bytes >= free_bytes

    def _enter(self, lane: _Lane, job: Job) -> None:
        lane.waiting.append(job)
        lane.waiting_bytes += job.size_bytes
        self._jobs += 1
        self._bytes += job.size_bytes
        self._enqueue(lane)
        self._pump()

    def _enqueue(self, lane: _Lane) -> None:
        if lane.queued or lane.held or not self._has_place(lane):
            return
        if wait_s := self._hold_s(lane.waiting[0], lane.beginning):
            lane.held = asyncio.get_running_loop().call_later(wait_s, self._let_go, lane)
        else:
            lane.queued = True
            self._round.append(lane)

    def _let_go(self, lane: _Lane) -> None:
        lane.held = None
        self._enqueue(lane)
        self._pump()

    def _has_place(self, lane: _Lane) -> bool:
        return bool(lane.waiting) and lane.running < lane.waiting[0].max_in_flight

    def _pump(self) -> None:
        while self._round and len(self.running) < self._limits.running:
            lane = self._round.popleft()
            lane.queued = False
            if self._has_place(lane):
                self._start(lane, lane.waiting.popleft())
            self._enqueue(lane)

    def _start(self, lane: _Lane, job: Job) -> None:
        lane.waiting_bytes -= job.size_bytes
        task = asyncio.create_task(self._run(job))
        self.running[task] = job
        lane.started_s[task] = self._monotonic_s()
        lane.beginning += 1
        task.add_done_callback(lambda ended: self._ended(lane, ended))

    def _ended(self, lane: _Lane, task: "asyncio.Task[None]") -> None:
        job = self.running.pop(task)
        self.begun(job)
        took_s = self._monotonic_s() - lane.started_s.pop(task)
        lane.duration_s += _WEIGHT * (took_s - lane.duration_s)
        self._leave(job)
        if len(self._lanes) > _KEPT_LANES and not lane.running and not lane.waiting:
            self._lanes.pop(job.lane, None)
        if not task.cancelled() and (error := task.exception()):
            self._on_crash(error)
        self._enqueue(lane)
        self._pump()

    def _leave(self, job: Job) -> None:
        self._jobs -= 1
        self._bytes -= job.size_bytes
        self._left.set()
