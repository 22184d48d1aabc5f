"""Answers that a sender must hear at once and whatever comes of its request: a cluster must not stand still for us.

Such an answer is a 200, and no claim that anything is stored. What is not is recorded, and counted.
"""

import structlog
from starlette.types import Send

from ingest.accept import Acceptor
from ingest.json_answer import send_json
from ingest.metrics import IngestMetrics
from ingest.received import Received
from ingest.reception import Reception
from ingest.refusals import Refusals
from rules.admission import MAX_HEAD_BYTES
from rules.cloud_events import media_type_of
from runtime.problem import ProblemError
from schemas.event import Event

log = structlog.get_logger(__name__)

MAX_STORING = 1_000
"""Answered already, and waiting for Kafka: of some 3 KiB each. Nobody holds back a sender that has its answer."""

_OK = 200


class PromptAnswers:
    """Answers first, then does what can be done.

    Args:
        acceptor: makes events.
        refusals: takes note of what is not stored.
        metrics: counts.
    """

    def __init__(self, acceptor: Acceptor, refusals: Refusals, metrics: IngestMetrics) -> None:
        self._acceptor = acceptor
        self._refusals = refusals
        self._metrics = metrics
        self._storing = 0

    async def take(
        self, answer: bytes, reception: Reception, received: Received, send: Send
    ) -> tuple[Event, bool] | None:
        """Answers a request that was verified, then stores its event.

        Returns:
            The event and whether it is known to repeat another, or `None`: it is not stored, and that is recorded.
        """
        self._metrics.requests.labels(str(_OK)).inc()
        await send_json(send, _OK, answer)
        try:
            stored = await self._stored(reception, received)
        except ProblemError as problem:
            self._not_stored(reception, problem)
        except Exception:
            log.exception("ingest_failed", topic_id=reception.topic_id)
            self._not_stored(reception, ProblemError(500))
        else:
            self._metrics.prompt_answers.labels("stored").inc()
            return stored
        return None

    async def instead_of(self, problem: ProblemError, reception: Reception, send: Send) -> bool:
        """Answers a request that is refused, when it is one of those that must never hear of it.

        Returns:
            Whether it was, and is answered and recorded.
        """
        if media_type_of(reception.content_type) != "application/json":
            return False
        answer = reception.prompt_answer(await reception.body.peek(MAX_HEAD_BYTES))
        if answer is None:
            return False
        self._metrics.requests.labels(str(_OK)).inc()
        await reception.body.discard_rest()
        await send_json(send, _OK, answer, close=not reception.body.complete)
        self._not_stored(reception, problem)
        return True

    async def _stored(self, reception: Reception, received: Received) -> tuple[Event, bool]:
        if self._storing >= MAX_STORING:
            raise ProblemError(503, "overloaded", "too much is waiting to be stored")
        self._storing += 1
        try:
            self._acceptor.charge(reception, received, 1)
            return await self._acceptor.accept(reception, received)
        finally:
            self._storing -= 1

    def _not_stored(self, reception: Reception, problem: ProblemError) -> None:
        self._metrics.prompt_answers.labels("not_stored").inc()
        self._refusals.note_unsaid(reception, problem)
