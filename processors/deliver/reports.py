"""Tells people what becomes of an endpoint: its breaker opens or closes, or it has failed for so long that it will end.

Breakers open and close as often as an endpoint flaps; people are told of the first time, and then now and then.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from processors.deliver.job import Job
from processors.tasks import Tasks
from rules.breaker import BreakerState
from rules.failing import Warn
from schemas.config import SubscriptionSpec
from schemas.stored import Record

log = structlog.get_logger(__name__)

QUIET_S = 600.0
"""Of one subscription's breaker, an opening is told so often at most, and its closing only when the opening was."""

MAX_REMEMBERED = 10_000
"""Breakers that were told of; a forgotten one is told of again."""

Detail = dict[str, str | int | float]

Tell = Callable[[str, str, Detail], Coroutine[Any, Any, None]]
"""Stores what happened: its kind, the subscription's id, and more."""


async def tell_log(kind: str, subscription_id: str, detail: Detail) -> None:
    """Tells whoever reads the log."""
    log.warning(kind, subscription=subscription_id, **detail)


class Reports:
    """Tells of endpoints.

    Args:
        tasks: runs what nobody waits for.
        tell: stores what happened.
        monotonic_s: the clock.
    """

    def __init__(self, tasks: Tasks, tell: Tell = tell_log, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._tasks = tasks
        self._tell = tell
        self._monotonic_s = monotonic_s
        self._opened_s: dict[str, float] = {}  # oldest first
        self._open: set[str] = set()

    def breaker(self, job: Job, state: BreakerState) -> None:
        """A breaker has changed."""
        if state is BreakerState.OPEN and self._is_news(job.lane):
            self._tasks.spawn(self._tell("breaker_opened", job.lane, {}))
        elif state is BreakerState.CLOSED and job.lane in self._open:
            self._open.discard(job.lane)
            open_s = self._monotonic_s() - self._opened_s[job.lane]
            self._tasks.spawn(self._tell("breaker_closed", job.lane, {"open_s": round(open_s)}))

    async def warned(self, subscription: Record[SubscriptionSpec], warn: Warn) -> None:
        """A subscription will be disabled, if it goes on failing; returns when that is stored."""
        detail: Detail = {"percent": warn.percent, "disabled_from_ms": warn.disable_ms}
        await self._tell("subscription_failing", subscription.spec.id, detail)

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
