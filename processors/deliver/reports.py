"""Tells people what becomes of an endpoint: its breaker opens or closes, or it has failed for so long that it will end.

Breakers open and close as often as an endpoint flaps; people are told of the first time, and then now and then.
"""

import time
from collections.abc import Callable

import structlog

from processors.deliver.job import Job
from rules.breaker import BreakerState
from rules.failing import Warn
from schemas.config import SubscriptionSpec
from schemas.stored import Record

log = structlog.get_logger(__name__)

QUIET_S = 600.0
"""Of one subscription's breaker, an opening is told so often at most, and its closing only when the opening was."""

MAX_REMEMBERED = 10_000
"""Breakers that were told of; a forgotten one is told of again."""


class Reports:
    """Tells of endpoints.

    Args:
        now_ms: the clock, epoch milliseconds.
        monotonic_s: another clock.
    """

    def __init__(self, now_ms: Callable[[], int], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._opened_s: dict[str, float] = {}  # oldest first
        self._open: set[str] = set()

    def breaker(self, job: Job, state: BreakerState) -> None:
        """A breaker has changed."""
        if state is BreakerState.OPEN and self._is_news(job.lane):
            self._tell("breaker_opened", job)
        elif state is BreakerState.CLOSED and job.lane in self._open:
            self._open.discard(job.lane)
            self._tell("breaker_closed", job)

    async def warned(self, subscription: Record[SubscriptionSpec], warn: Warn) -> None:
        """A subscription will be disabled, if it goes on failing."""
        log.warning("subscription_failing", subscription=subscription.spec.id, percent=warn.percent)

    def _is_news(self, record_id: str) -> bool:
        now_s = self._monotonic_s()
        if record_id in self._open or now_s - self._opened_s.get(record_id, float("-inf")) < QUIET_S:
            return False
        self._opened_s.pop(record_id, None)
        self._opened_s[record_id] = now_s
        self._open.add(record_id)
        while len(self._opened_s) > MAX_REMEMBERED:
            oldest = next(iter(self._opened_s))
            del self._opened_s[oldest]
            self._open.discard(oldest)
        return True

    def _tell(self, kind: str, job: Job) -> None:
        log.warning(kind, subscription=job.lane)
