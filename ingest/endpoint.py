"""The routes that take events: answers 202 when Kafka has the event, and says why when it does not.

Plain ASGI: request objects and validation by framework cost three times the work of accepting an event.
"""

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from ingest.accept import Acceptor, AnswerInsteadError
from ingest.batch import REFUSED, BatchAcceptor, Outcome
from ingest.batch_answer import ACCEPTED, accepted_document, problem_of
from ingest.body import BodyBudget, SenderGoneError
from ingest.contents import several_in
from ingest.json_answer import send_json
from ingest.metrics import IngestMetrics
from ingest.prompt_answers import PromptAnswers
from ingest.reception import Reception
from ingest.refusals import Refusals
from ingest.rejections import RejectionLog
from runtime.problem import ProblemError
from schemas.event import Event
from schemas.headers import trace_id

log = structlog.get_logger(__name__)

TOPIC_PATH = "/api/v1/ingest/{topic_id}"
BATCH_PATH = "/api/v1/ingest/{topic_id}/batch"
SOURCE_PATH = "/api/webhooks/{source_id}"
NOT_ANSWERED = 0
Exchange = tuple[Scope, Receive, Send]


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
        self._metrics = metrics
        self._budget = budget
        self._refusals = Refusals(rejections, metrics)
        self._prompt = PromptAnswers(acceptor, self._refusals, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        reception = Reception.of(scope, receive, self._budget)
        try:
            await self._take(reception, (scope, receive, send))
        except AnswerInsteadError as question:
            await self._answer_question(question.answer, reception, send)
        except SenderGoneError:
            self._refusals.note(reception, ProblemError(NOT_ANSWERED, "sender_gone", "the sender hung up"))
        except ProblemError as problem:
            await self.answer_problem(problem, reception, (scope, receive, send))
        except Exception:
            log.exception("ingest_failed", topic_id=reception.topic_id)
            await self.answer_problem(ProblemError(500), reception, (scope, receive, send))
        finally:
            reception.body.release()

    async def _take(self, reception: Reception, exchange: Exchange) -> None:
        received = await self._acceptor.receive(reception)
        answer = reception.prompt_answer(received.body)
        if answer is not None:
            stored = await self._prompt.take(answer, reception, received, exchange[-1])
            if stored is not None:
                self._note_accepted(*stored, reception)
            return
        several = several_in(reception, received.destination.source.verifier, received.body)
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
                problem_of_it = ProblemError(outcome.http_status, outcome.code, f"item {index}: {outcome.detail}")
                self._refusals.note_item(reception, problem_of_it, outcome.item.body)
        stored = [outcome.event for outcome in outcomes if outcome.event]
        self._metrics.body_bytes.inc(sum(len(event.body) for event in stored))
        _log_batch(outcomes, stored, status, reception)
        if problem:
            await problem.response()(*exchange)
        else:
            await send_json(exchange[-1], ACCEPTED, accepted_document(outcomes), reception.quota)

    async def _answer_accepted(self, event: Event, duplicate: bool, reception: Reception, send: Send) -> None:
        self._metrics.accepted.inc()
        self._note_accepted(event, duplicate, reception)
        answer: dict[str, str | bool] = {"event_id": event.event_id, "status": "QUEUED"}
        if reception.wanted_source:
            answer["task_id"] = event.event_id
        if duplicate:
            answer["duplicate"] = True
        await send_json(send, 202, orjson.dumps(answer), reception.quota)

    def _note_accepted(self, event: Event, duplicate: bool, reception: Reception) -> None:
        elapsed_s = reception.elapsed_s()
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

    async def _answer_question(self, answer: bytes, reception: Reception, send: Send) -> None:
        self._metrics.requests.labels("200").inc()
        log.info("question_answered", topic_id=reception.topic_id, source_id=reception.source_id)
        await send_json(send, 200, answer)

    async def answer_problem(self, problem: ProblemError, reception: Reception, exchange: Exchange) -> None:
        """Answers a refusal, counted and recorded."""
        if await self._prompt.instead_of(problem, reception, exchange[-1]):
            return
        self._refusals.note(reception, problem)
        await reception.body.discard_rest()
        response = problem.response()
        if not reception.body.complete:
            response.headers["connection"] = "close"  # else the server goes on reading what nobody wants
        await response(*exchange)


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
