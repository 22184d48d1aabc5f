"""The two routes that take events: answers 202 when Kafka has the event, and says why when it does not.

Plain ASGI: request objects and validation by framework cost three times the work of accepting an event.
"""

import time

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from ingest.accept import Acceptor, AnswerInsteadError
from ingest.body import BodyBudget, SenderGoneError
from ingest.metrics import IngestMetrics
from ingest.reception import Reception
from ingest.rejections import RejectionLog
from rules.rejection_cap import RejectionCap
from runtime.problem import ProblemError
from schemas.event import Event
from schemas.headers import trace_id
from schemas.ids import new_id
from schemas.rejection import MAX_REJECTED_BODY_BYTES, Rejection

log = structlog.get_logger(__name__)

TOPIC_PATH = "/api/v1/ingest/{topic_id}"
SOURCE_PATH = "/api/webhooks/{source_id}"
NOT_ANSWERED = 0
_UNAVAILABLE = 503


class IngestEndpoint:
    """An ASGI app for the routes that take events.

    Args:
        acceptor: makes events.
        rejections: records refusals.
        metrics: counts.
        budget: the memory that all bodies share.
    """

    def __init__(
        self, acceptor: Acceptor, rejections: RejectionLog, metrics: IngestMetrics, budget: BodyBudget
    ) -> None:
        self._acceptor = acceptor
        self._rejections = rejections
        self._metrics = metrics
        self._budget = budget
        self._failures_logged = RejectionCap()  # an outage must not fill the disk with its log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        reception = Reception.of(scope, receive, self._budget)
        try:
            event, duplicate = await self._acceptor.accept(reception)
            await self._answer_accepted(event, duplicate, reception, send)
        except AnswerInsteadError as question:
            await self._answer_question(question.answer, reception, send)
        except SenderGoneError:
            self._refused(reception, ProblemError(NOT_ANSWERED, "sender_gone", "the sender hung up"))
        except ProblemError as problem:
            await self._answer_problem(problem, reception, (scope, receive, send))
        except Exception:
            log.exception("ingest_failed", topic_id=reception.topic_id)
            await self._answer_problem(ProblemError(500), reception, (scope, receive, send))
        finally:
            reception.body.release()

    async def _answer_accepted(self, event: Event, duplicate: bool, reception: Reception, send: Send) -> None:
        elapsed_s = reception.elapsed_s()
        self._metrics.accepted.inc()
        self._metrics.accept_s.observe(elapsed_s)
        self._metrics.body_bytes.inc(len(event.body))
        log.info(
            "event_accepted",
            event_id=event.event_id,
            trace_id=trace_id(event.traceparent),
            topic_id=event.topic_id,
            source_id=event.source_id,
            event_type=event.event_type,
            body_bytes=len(event.body),
            duplicate=duplicate,
            source_ip=event.source_ip,
            duration_ms=round(elapsed_s * 1000, 2),
        )
        answer: dict[str, str | bool] = {"event_id": event.event_id, "status": "QUEUED"}
        if reception.wanted_source:
            answer["task_id"] = event.event_id
        if duplicate:
            answer["duplicate"] = True
        await _send_json(send, 202, orjson.dumps(answer))

    async def _answer_question(self, answer: bytes, reception: Reception, send: Send) -> None:
        self._metrics.requests.labels("200").inc()
        log.info("question_answered", topic_id=reception.topic_id, source_id=reception.source_id)
        await _send_json(send, 200, answer)

    async def _answer_problem(
        self, problem: ProblemError, reception: Reception, exchange: tuple[Scope, Receive, Send]
    ) -> None:
        self._refused(reception, problem)
        await reception.body.discard_rest()
        response = problem.response()
        if not reception.body.complete:
            response.headers["connection"] = "close"  # else the server goes on reading what nobody wants
        await response(*exchange)

    def _refused(self, reception: Reception, problem: ProblemError) -> None:
        self._metrics.requests.labels(str(problem.status)).inc()
        if problem.status >= 500:  # noqa: PLR2004 - not the sender's fault: it may come again
            if self._failures_logged.take("", time.monotonic()) is not None:
                _log_refused(reception, problem)
            return
        self._metrics.rejections.labels(problem.code).inc()
        unrecorded = self._rejections.allowance(reception.source_id)
        if unrecorded is not None:
            self._rejections.record(_rejection(reception, problem, unrecorded))
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


async def _send_json(send: Send, status: int, document: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(document))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": document})
