"""A lane for each subscription: one slow endpoint fills its own lane and nobody else's."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from processors.deliver.job import Job
from processors.tasks import OnCrash


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may be going on.

    Attributes:
        running: requests in flight in this worker; beyond about 500 one core has nothing left to give.
        waiting_jobs: jobs that wait in one lane before its overflow is parked.
        waiting_bytes: as above, in bytes.
        total_jobs: jobs in all lanes before the reader waits: that many are read again after a crash.
        total_bytes: as above, in bytes; with the fetch buffers it bounds the worker's memory.
    """

    running: int = 500
    waiting_jobs: int = 200
    waiting_bytes: int = 8_388_608
    total_jobs: int = 2_000
    total_bytes: int = 67_108_864


@dataclass(slots=True, eq=False)
class _Lane:
    running: int = 0
    waiting: deque[Job] = field(default_factory=deque)
    waiting_bytes: int = 0
    queued: bool = False  # stands in the round of lanes that can start something


class Lanes:
    """Runs jobs, each lane within its own limit, all lanes in turn.

    Args:
        run: makes one attempt; must not raise for anything that an endpoint does.
        on_crash: told of an error that nobody expected.
        limits: how much may be going on.
    """

    def __init__(
        self, run: Callable[[Job], Awaitable[None]], on_crash: OnCrash, limits: LaneLimits | None = None
    ) -> None:
        self._run = run
        self._on_crash = on_crash
        self._limits = limits or LaneLimits()
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

    def full(self) -> bool:
        """Whether the reader has to wait: every lane together holds as much as a worker may."""
        return self._jobs >= self._limits.total_jobs or self._bytes >= self._limits.total_bytes

    async def room(self) -> None:
        """Returns when there is room for another job."""
        while self.full():
            self._left.clear()
            await self._left.wait()

    def submit(self, job: Job) -> bool:
        """Takes a job, or says that its lane is full."""
        lane = self._lanes.setdefault(job.lane, _Lane())
        if lane.running >= job.max_in_flight and self._overflows(lane, job):
            return False
        lane.waiting.append(job)
        lane.waiting_bytes += job.size_bytes
        self._jobs += 1
        self._bytes += job.size_bytes
        self._enqueue(lane)
        self._pump()
        return True

    def clear(self) -> list[Job]:
        """Takes back every job that has not started."""
        dropped = [job for lane in self._lanes.values() for job in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.waiting_bytes = 0
        for job in dropped:
            self._leave(job)
        return dropped

    def _overflows(self, lane: _Lane, job: Job) -> bool:
        waiting = len(lane.waiting)
        return waiting >= self._limits.waiting_jobs or (
            waiting > 0 and lane.waiting_bytes + job.size_bytes > self._limits.waiting_bytes
        )

    def _enqueue(self, lane: _Lane) -> None:
        if not lane.queued and lane.waiting and lane.running < lane.waiting[0].max_in_flight:
            lane.queued = True
            self._round.append(lane)

    def _pump(self) -> None:
        while self._round and len(self.running) < self._limits.running:
            lane = self._round.popleft()
            lane.queued = False
            if lane.waiting and lane.running < lane.waiting[0].max_in_flight:
                self._start(lane, lane.waiting.popleft())
            self._enqueue(lane)

    def _start(self, lane: _Lane, job: Job) -> None:
        lane.waiting_bytes -= job.size_bytes
        lane.running += 1
        task = asyncio.ensure_future(self._run(job))
        self.running[task] = job
        task.add_done_callback(lambda ended: self._ended(lane, ended))

    def _ended(self, lane: _Lane, task: "asyncio.Future[None]") -> None:
        job = self.running.pop(task)  # type: ignore[call-overload] # ensure_future made a task of a coroutine
        lane.running -= 1
        self._leave(job)
        if not lane.running and not lane.waiting:
            self._lanes.pop(job.lane, None)
        if not task.cancelled() and (error := task.exception()):
            self._on_crash(error)
        self._enqueue(lane)
        self._pump()

    def _leave(self, job: Job) -> None:
        self._jobs -= 1
        self._bytes -= job.size_bytes
        self._left.set()
