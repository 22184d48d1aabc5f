"""Tells people what becomes of an endpoint: its breaker opens or closes, or it has failed for so long that it will end.

Breakers open and close as often as an endpoint flaps; people are told of the first time, and then now and then.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from processors.deliver.job import Job
from processors.operations import kinds
from processors.tasks import Tasks
from rules.breaker import BreakerState
from rules.failing import Warn
from schemas.config import SubscriptionSpec
from schemas.operation import Operation
from schemas.stored import Record

QUIET_S = 600.0
"""Of one subscription's breaker, an opening is told so often at most, and its closing only when the opening was."""

MAX_REMEMBERED = 10_000
"""Breakers that were told of; a forgotten one is told of again."""

Tell = Callable[[Operation], Coroutine[Any, Any, None]]
"""Stores what happened."""


class Reports:
    """Tells of endpoints.

    Args:
        tasks: runs what nobody waits for.
        tell: stores what happened.
        now_ms: the clock, epoch milliseconds.
        monotonic_s: another clock, for how long it is quiet.
    """

    def __init__(
        self, tasks: Tasks, tell: Tell, now_ms: Callable[[], int], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._tasks = tasks
        self._tell = tell
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._opened_s: dict[str, float] = {}  # oldest first
        self._open: set[str] = set()

    def breaker(self, job: Job, state: BreakerState) -> None:
        """A breaker has changed."""
        if state is BreakerState.OPEN and self._is_news(job.lane):
            self._tell_of_breaker(job, state)
        elif state is BreakerState.CLOSED and job.lane in self._open:
            self._open.discard(job.lane)
            open_s = self._monotonic_s() - self._opened_s[job.lane]
            self._tell_of_breaker(job, state, round(open_s))

    async def warned(self, subscription: Record[SubscriptionSpec], warn: Warn, since_ms: int) -> None:
        """A subscription has only failed since then and will be disabled; returns when that is stored."""
        await self._tell(kinds.failing(subscription, warn, since_ms, self._now_ms()))

    def _tell_of_breaker(self, job: Job, state: BreakerState, open_s: int = 0) -> None:
        # Nobody waits for it: whoever stores it keeps the bound on what waits.
        self._tasks.spawn(self._tell(kinds.breaker(job.lane, job.delivery.topic_id, state, self._now_ms(), open_s)))

    def _is_news(self, record_id: str) -> bool:
        now_s = self._monotonic_s()
        if now_s - self._opened_s.get(record_id, float("-inf")) < QUIET_S:
            return False
        self._opened_s.pop(record_id, None)
        self._opened_s[record_id] = now_s
        self._open.add(record_id)
        if len(self._opened_s) > MAX_REMEMBERED:
            oldest = next(iter(self._opened_s))
            del self._opened_s[oldest]
            self._open.discard(oldest)
        return True
