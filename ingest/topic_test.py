"""`POST /api/v1/topics/{id}/test`: a provider's sample event takes the very way that a real one takes."""

import time

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Scope

from ingest.accept import Acceptor, AnswerInsteadError
from ingest.body import BodyBudget
from ingest.parts import Parts
from ingest.reception import Reception
from rules.verify import CannotSignError, signed_headers
from rules.verify.samples import Sample, sample_of
from runtime.authorizer import Authorizer
from runtime.problem import ProblemError
from schemas.config import SourceSpec
from schemas.ids import new_id

log = structlog.get_logger(__name__)

TEST_HEADER = "hooklog-test"
"""Stands among the event's request headers, where filters can see it; senders may send it as well."""


class TopicTest:
    """Sends sample events.

    Args:
        acceptor: makes events, of real requests and of these.
        budget: the memory that all bodies share.
    """

    def __init__(self, acceptor: Acceptor, budget: BodyBudget) -> None:
        self._acceptor = acceptor
        self._budget = budget

    async def send(self, record_id: str, request: Request) -> Response:
        """Makes, signs and accepts one; the answer is that of a real event."""
        asking = self._reception(record_id, Sample(b"", ""), [], request)
        source = (await self._acceptor.find(asking)).source.spec
        sample = sample_of(source.auth_type, new_id())
        reception = self._reception(record_id, sample, _signed(source, sample), request)
        try:
            event, _ = await self._acceptor.accept(reception, await self._acceptor.receive(reception))
        except AnswerInsteadError as question:
            raise ProblemError(500, detail="the sample is a question and no event") from question
        finally:
            reception.body.release()
        log.info("topic_tested", topic_id=event.topic_id, event_id=event.event_id, event_type=event.event_type)
        answer = {"event_id": event.event_id, "status": "QUEUED", "event_type": event.event_type}
        return JSONResponse(answer, 202)

    def _reception(
        self, topic_id: str, sample: Sample, signature: list[tuple[str, str]], request: Request
    ) -> Reception:
        sent = [("Content-Type", sample.content_type), (TEST_HEADER, "true"), *sample.headers, *signature]
        scope: Scope = {
            "path_params": {"topic_id": topic_id},
            "path": f"/api/v1/ingest/{topic_id}",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent],
            "client": request.scope.get("client"),  # who asked for it
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": sample.body}

        reception = Reception.of(scope, receive, self._budget)
        reception.is_trial = True
        return reception


def _signed(source: SourceSpec, sample: Sample) -> list[tuple[str, str]]:
    try:
        return signed_headers(
            source.auth_type, source.all_secrets, source.auth_config, sample.body, time.time(), sample.content_type
        )
    except CannotSignError as error:
        raise ProblemError(422, "cannot_sign", str(error)) from error


def topic_test_router(parts: Parts, authorizer: Authorizer) -> APIRouter:
    """The route, for those who may; `openapi_topic_test` describes it."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(authorizer)], include_in_schema=False)
    test = TopicTest(parts.acceptor, parts.budget)
    router.add_api_route("/topics/{record_id}/test", test.send, methods=["POST"])
    return router
