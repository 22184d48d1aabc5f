"""Records refusals in the background: an answer never waits for it, and a flood cannot fill the log."""

import asyncio
import time
from contextlib import suppress

import structlog

from ingest.metrics import IngestMetrics
from rules.rejection_cap import RejectionCap
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from schemas.rejection import Rejection, encode_rejection
from schemas.streams import REJECTIONS

log = structlog.get_logger(__name__)

MAX_WAITING = 1_000
"""Records of at most about 25 KiB: 25 MiB when Kafka is away."""

_APPEND_S = 10.0
_DRAIN_S = 5.0
"""What a stop may take; what is left then is lost and counted."""


class RejectionLog:
    """A bounded queue in front of the rejections stream.

    Args:
        appender: appends the records.
        metrics: counts what gets no record.
        cap: how many of a source are recorded.
    """

    def __init__(self, appender: Appender, metrics: IngestMetrics, cap: RejectionCap | None = None) -> None:
        self._appender = appender
        self._metrics = metrics
        self._cap = cap or RejectionCap()
        self._waiting: asyncio.Queue[Rejection] = asyncio.Queue(MAX_WAITING)
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to write; must run in the loop of the appender."""
        self._writer = asyncio.create_task(self._write_for_ever())

    async def stop(self) -> None:
        """Writes what waits, for a short while, then stops."""
        if self._writer is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), _DRAIN_S)
        self._writer.cancel()
        await asyncio.wait([self._writer])

    def allowance(self, source_id: str) -> int | None:
        """Whether a refusal of this source may be recorded now.

        Returns:
            How many went unrecorded before it, or `None`: leave it out.
        """
        unrecorded = self._cap.take(source_id, time.monotonic())
        if unrecorded is None:
            self._metrics.unrecorded.labels("cap").inc()
        return unrecorded

    def record(self, rejection: Rejection) -> None:
        """Hands a record over; when too many wait it is dropped and counted."""
        try:
            self._waiting.put_nowait(rejection)
        except asyncio.QueueFull:
            self._metrics.unrecorded.labels("queue_full").inc()

    async def _write_for_ever(self) -> None:
        while True:
            rejection = await self._waiting.get()
            try:
                await self._append(rejection)
            finally:
                self._waiting.task_done()

    async def _append(self, rejection: Rejection) -> None:
        try:
            await self._appender.append(
                REJECTIONS,
                encode_rejection(rejection),
                key=rejection.source_id.encode(),
                timeout_s=_APPEND_S,
            )
        except (NotStoredError, RecordTooLargeError) as error:
            self._metrics.unrecorded.labels("not_stored").inc()
            log.warning("rejection_not_recorded", source_id=rejection.source_id, error=str(error))
