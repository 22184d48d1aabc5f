"""What becomes of a refusal: it is counted, recorded and logged, within the caps of each."""

import time

import structlog
from msgspec.structs import replace

from ingest.metrics import IngestMetrics
from ingest.reception import Reception
from ingest.rejections import RejectionLog
from rules.rejection_cap import RejectionCap
from runtime.problem import ProblemError
from schemas.ids import new_id
from schemas.rejection import MAX_REJECTED_BODY_BYTES, Rejection

log = structlog.get_logger(__name__)

_OURS = 500


class Refusals:
    """Takes note of refusals.

    Args:
        rejections: records them.
        metrics: counts them.
    """

    def __init__(self, rejections: RejectionLog, metrics: IngestMetrics) -> None:
        self._rejections = rejections
        self._metrics = metrics
        self._failures_logged = RejectionCap()  # an outage must not fill the disk with its log

    def note(self, reception: Reception, problem: ProblemError) -> None:
        """Of a request that is answered with the problem."""
        self._metrics.requests.labels(str(problem.status)).inc()
        if problem.status >= _OURS:  # not the sender's fault: it may come again
            if self._failures_logged.take("", time.monotonic()) is not None:
                _log_refused(reception, problem)
            return
        self._record(reception, problem, None)

    def note_item(self, reception: Reception, problem: ProblemError, item: bytes) -> None:
        """Of an item of a batch."""
        self._record(reception, problem, item)

    def note_unsaid(self, reception: Reception, problem: ProblemError) -> None:
        """Of a request that was answered 200 all the same: nobody sends it again, so it is recorded whoever failed."""
        self._record(reception, problem, None, status=200)

    def _record(self, reception: Reception, problem: ProblemError, item: bytes | None, status: int = 0) -> None:
        self._metrics.rejections.labels(problem.code).inc()
        unrecorded = self._rejections.allowance(reception.source_id)
        if unrecorded is None:
            return
        rejection = _rejection(reception, problem, unrecorded)
        if item is not None:
            body = item[:MAX_REJECTED_BODY_BYTES].decode(errors="replace")
            rejection = replace(rejection, body=body, body_bytes=len(item))
        self._rejections.record(replace(rejection, status=status) if status else rejection)
        if item is None:  # the line of its batch tells of an item
            _log_refused(reception, problem)


def _rejection(reception: Reception, problem: ProblemError, unrecorded: int) -> Rejection:
    return Rejection(
        rejection_id=new_id(),
        topic_id=reception.topic_id[:64],
        source_id=reception.source_id,
        status=problem.status,
        code=problem.code,
        reason=problem.detail,
        received_ms=time.time_ns() // 1_000_000,
        source_ip=reception.source_ip,
        content_type=reception.content_type[:256],
        headers=list(reception.kept_headers()),
        body=reception.body.beginning(MAX_REJECTED_BODY_BYTES).decode(errors="replace"),
        body_bytes=reception.body.received_bytes,
        unrecorded=unrecorded,
    )


def _log_refused(reception: Reception, problem: ProblemError) -> None:
    log.info(
        "request_refused",
        topic_id=reception.topic_id[:64],
        source_id=reception.source_id,
        status=problem.status,
        code=problem.code,
        body_bytes=reception.body.received_bytes,
        source_ip=reception.source_ip,
        duration_ms=round(reception.elapsed_s() * 1000, 2),
    )
