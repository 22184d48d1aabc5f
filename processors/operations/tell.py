"""Writes operations, within a bound: whatever happens a million times must neither stop other work nor fill memory.

Dead letters and ends of subscriptions are always told: each is stored together with what it tells of, so that there
are never more of them than of that. Of each other kind there is so much at a time, and what is beyond it is counted.
"""

from collections.abc import Callable, Iterable

import structlog

from processors.metrics import WorkerMetrics
from rules.rate_limit import RateLimit
from runtime.kafka import Appender, Outgoing
from schemas.operation import Operation, OperationKind, encode_operation
from schemas.streams import OPERATIONS

log = structlog.get_logger(__name__)

ALWAYS = frozenset(
    {OperationKind.DEAD_LETTER, OperationKind.SUBSCRIPTION_DISABLED, OperationKind.SUBSCRIPTION_FAILING},
)

BURST = 1_000
"""Of one kind at once: a team that applies all its files with the same mistake hears of each."""

PER_S = 10.0
"""Of one kind in the long run, for each worker: more than anybody reads; 26 million in the 30 days of the stream."""

MAX_WAITING = 1_000
"""Of those for which nothing else waits, while Kafka is away: a few megabytes."""


class Operations:
    """Tells of what happened.

    Args:
        appender: stores.
        now_ms: the clock, epoch milliseconds.
        metrics: counts.
    """

    def __init__(self, appender: Appender, now_ms: Callable[[], int], metrics: WorkerMetrics) -> None:
        self._appender = appender
        self._now_ms = now_ms
        self._metrics = metrics
        self._limits: dict[str, RateLimit] = {}
        self._waiting = 0

    async def tell(self, operation: Operation) -> None:
        """Returns when it is stored, or left out."""
        if self._waiting >= MAX_WAITING and operation.kind not in ALWAYS:
            self._left_out(operation)
            return
        for admitted in self.admitted([operation]):
            self._waiting += 1
            try:
                await self._appender.append_surely(record_of(admitted))
            finally:
                self._waiting -= 1
            log.warning(operation.kind, subject=operation.subject_id, message=operation.message, **operation.detail)
            self.stored([admitted])

    def admitted(self, operations: Iterable[Operation]) -> list[Operation]:
        """Those that are to be told now, by somebody who stores them with something else; the others are counted."""
        return [operation for operation in operations if self._admits(operation)]

    def stored(self, operations: Iterable[Operation]) -> None:
        """Counts what was stored."""
        for operation in operations:
            self._metrics.operations.labels(operation.kind).inc()

    def _admits(self, operation: Operation) -> bool:
        if operation.kind in ALWAYS:
            return True
        limit = self._limits.setdefault(operation.kind, RateLimit(PER_S, BURST))
        if not limit.take(self._now_ms()):
            return True
        self._left_out(operation)
        return False

    def _left_out(self, operation: Operation) -> None:
        self._metrics.operations_left_out.labels(operation.kind).inc()


def record_of(operation: Operation) -> Outgoing:
    """The record that tells of it: everything about one subject stands in one partition, in order."""
    return Outgoing(OPERATIONS, encode_operation(operation), operation.subject_id.encode())
