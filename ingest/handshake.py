"""The questions of senders before they send: a GET whose answer proves that the URL is ours, or OPTIONS for leave.

Source: the providers' pages (`rules/verify`), and HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4.
"""

import re

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.accept import Acceptor
from ingest.body import BodyBudget
from ingest.endpoint import IngestEndpoint
from ingest.reception import Reception
from runtime.problem import ProblemError

log = structlog.get_logger(__name__)

ALLOW = "GET, POST, OPTIONS"

_ORIGIN = re.compile(r"[A-Za-z0-9.-]{1,253}")
"""A DNS expression; a name has at most so many characters (RFC 1035, section 2.3.4)."""


class HandshakeEndpoint:
    """An ASGI app for GET and OPTIONS of the URLs that take events; nothing that it answers is an event.

    Args:
        acceptor: knows the topics and their providers.
        endpoint: answers what is refused, as it does what is refused of events.
        budget: the memory that all bodies share.
    """

    def __init__(self, acceptor: Acceptor, endpoint: IngestEndpoint, budget: BodyBudget) -> None:
        self._acceptor = acceptor
        self._endpoint = endpoint
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one question."""
        reception = Reception.of(scope, receive, self._budget)
        ask = self._leave if scope["method"] == "OPTIONS" else self._proof
        try:
            response = await ask(reception)
        except ProblemError as problem:
            await self._endpoint.answer_problem(problem, reception, (scope, receive, send))
        else:
            log.info("question_answered", topic_id=reception.topic_id, source_id=reception.source_id)
            await response(scope, receive, send)

    async def _proof(self, reception: Reception) -> Response:
        answer = await self._acceptor.handshake(reception)
        if answer is None:
            return ProblemError(405, detail="send events with POST", headers={"Allow": "POST, OPTIONS"}).response()
        # It says back what a stranger sent: `nosniff`, which every answer carries, keeps it from being a page.
        return Response(answer.body, media_type=answer.media_type)

    async def _leave(self, reception: Reception) -> Response:
        """Whoever knows a URL may send to it, and is held to its signature then; the topic is there by our wish."""
        await self._acceptor.find(reception)
        allow = {"Allow": ALLOW}
        origin = reception.headers.text("webhook-request-origin")
        if not origin:
            return Response(status_code=204, headers=allow)
        if not _ORIGIN.fullmatch(origin):
            raise ProblemError(400, detail="WebHook-Request-Origin is no DNS name")
        # The callback that a sender may offer is never called: it could be anybody's.
        return Response(headers=allow | {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
