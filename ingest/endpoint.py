"""The two routes that take events: answers 202 when Kafka has the event, and says why when it does not.

Plain ASGI: request objects and validation by framework cost three times the work of accepting an event.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType

import orjson
import structlog
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from ingest.accept import Acceptor, AnswerInsteadError
from ingest.batch import REFUSED, BatchAcceptor, Outcome
from ingest.batch_answer import ACCEPTED, accepted_document, problem_of
from ingest.body import BodyBudget, SenderGoneError
from ingest.contents import several_in
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
BATCH_PATH = "/api/v1/ingest/{topic_id}/batch"
SOURCE_PATH = "/api/webhooks/{source_id}"
NOT_ANSWERED = 0
Exchange = tuple[Scope, Receive, Send]
_NONE: Mapping[str, str] = MappingProxyType({})


class IngestEndpoint:
    """An ASGI app for the routes that take events.

    Args:
        acceptor: makes events.
        batches: makes events of the items of batches.
        rejections: records refusals.
        metrics: counts.
        budget: the memory that all bodies share.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        batches: BatchAcceptor,
        rejections: RejectionLog,
        metrics: IngestMetrics,
        budget: BodyBudget,
    ) -> None:
        self._acceptor = acceptor
        self._batches = batches
        self._rejections = rejections
        self._metrics = metrics
        self._budget = budget
        self._failures_logged = RejectionCap()  # an outage must not fill the disk with its log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        reception = Reception.of(scope, receive, self._budget)
        try:
            await self._take(reception, (scope, receive, send))
        except AnswerInsteadError as question:
            await self._answer_question(question.answer, reception, send)
        except SenderGoneError:
            self._refused(reception, ProblemError(NOT_ANSWERED, "sender_gone", "the sender hung up"))
        except ProblemError as problem:
            await self.answer_problem(problem, reception, (scope, receive, send))
        except Exception:
            log.exception("ingest_failed", topic_id=reception.topic_id)
            await self.answer_problem(ProblemError(500), reception, (scope, receive, send))
        finally:
            reception.body.release()

    async def _take(self, reception: Reception, exchange: Exchange) -> None:
        received = await self._acceptor.receive(reception)
        several = several_in(reception, received.verifier, received.body)
        self._acceptor.charge(reception, received, 1 if several is None else len(several.items))
        if several is None:
            event, duplicate = await self._acceptor.accept(reception, received)
            await self._answer_accepted(event, duplicate, reception, exchange[-1])
        else:
            await self._answer_batch(await self._batches.accept(reception, received, several), reception, exchange)

    async def _answer_batch(self, outcomes: list[Outcome], reception: Reception, exchange: Exchange) -> None:
        problem = problem_of(outcomes)
        status = problem.status if problem else ACCEPTED
        self._metrics.requests.labels(str(status)).inc()
        if problem is None:
            self._metrics.accept_s.observe(reception.elapsed_s())
        for index, outcome in enumerate(outcomes):
            self._metrics.batch_items.labels(outcome.status).inc()
            if outcome.status == REFUSED:
                self._item_refused(index, outcome, reception)
        stored = [outcome.event for outcome in outcomes if outcome.event]
        self._metrics.body_bytes.inc(sum(len(event.body) for event in stored))
        _log_batch(outcomes, stored, status, reception)
        if problem:
            await problem.response()(*exchange)
        else:
            await _send_json(exchange[-1], ACCEPTED, accepted_document(outcomes), reception.quota)

    def _item_refused(self, index: int, outcome: Outcome, reception: Reception) -> None:
        problem = ProblemError(outcome.http_status, outcome.code, f"item {index}: {outcome.detail}")
        self._metrics.rejections.labels(problem.code).inc()
        unrecorded = self._rejections.allowance(reception.source_id)
        if unrecorded is not None:
            whole = _rejection(reception, problem, unrecorded)
            body = outcome.item.body[:MAX_REJECTED_BODY_BYTES].decode(errors="replace")
            self._rejections.record(replace(whole, body=body, body_bytes=len(outcome.item.body)))

    async def _answer_accepted(self, event: Event, duplicate: bool, reception: Reception, send: Send) -> None:
        elapsed_s = reception.elapsed_s()
        self._metrics.requests.labels("202").inc()
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
            schema_fault=event.schema_fault,
            source_ip=event.source_ip,
            duration_ms=round(elapsed_s * 1000, 2),
        )
        answer: dict[str, str | bool] = {"event_id": event.event_id, "status": "QUEUED"}
        if reception.wanted_source:
            answer["task_id"] = event.event_id
        if duplicate:
            answer["duplicate"] = True
        await _send_json(send, 202, orjson.dumps(answer), reception.quota)

    async def _answer_question(self, answer: bytes, reception: Reception, send: Send) -> None:
        self._metrics.requests.labels("200").inc()
        log.info("question_answered", topic_id=reception.topic_id, source_id=reception.source_id)
        await _send_json(send, 200, answer)

    async def answer_problem(self, problem: ProblemError, reception: Reception, exchange: Exchange) -> None:
        """Answers a refusal, counted and recorded."""
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


def _log_batch(outcomes: list[Outcome], stored: list[Event], status: int, reception: Reception) -> None:
    # One line for all of them: a line for each would cost as much as storing it.
    log.info(
        "batch_accepted" if status == ACCEPTED else "batch_not_accepted",
        status=status,
        topic_id=reception.topic_id,
        source_id=reception.source_id,
        items=len(outcomes),
        stored=len(stored),
        event_ids=[event.event_id for event in stored],
        trace_id=trace_id(stored[0].traceparent) if stored else "",
        body_bytes=reception.body.received_bytes,
        source_ip=reception.source_ip,
        duration_ms=round(reception.elapsed_s() * 1000, 2),
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


async def _send_json(send: Send, status: int, document: bytes, more: Mapping[str, str] = _NONE) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(document))]
    headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": document})
