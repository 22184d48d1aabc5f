"""Accepting an event as an ordinary FastAPI route does it: what Hooklog's way in is measured beside.

    python -m benchmarks.ordinary <settings as JSON>

The same work with the same parts: the verification, the identity, the record with its kept headers, the appender, the
log line and the counters are Hooklog's own functions, the loop and the settings of uvicorn are the same. The rest is
what FastAPI's documentation shows. Bare, it has no limits and no headers for browsers. Hardened, it has those of
Hooklog that an application can have, as that documentation adds them: the names of hosts by `TrustedHostMiddleware`,
the length of the body and the headers by `@app.middleware("http")`. A slow or boundless sender is closed by neither.
"""

import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from ingest.metrics import IngestMetrics
from ingest.redact import kept_headers
from ingest.server import KEEP_ALIVE_S, MAX_CONNECTIONS
from ingest.trace import traceparent_of
from rules.identify import identify
from rules.request_headers import RequestHeaders
from rules.verify import SignedRequest, VerificationError, verifier_of, verify
from runtime.answer_headers import ANSWER_HEADERS
from runtime.garbage import settle
from runtime.kafka import Appender
from runtime.telemetry import configure_logging
from schemas.config import TopicSpec
from schemas.event import Event, encode_event
from schemas.headers import trace_id
from schemas.ids import new_id
from schemas.streams import EVENTS, StreamNames

AUTH_TYPE = "github"
ACK_DEADLINE_S = 10.0
MAX_BODY_BYTES = 1_048_576
TOPIC = TopicSpec(id="bench", source_id="bench")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Ordinary:
    """What it is told.

    Attributes:
        secret: that senders sign with.
        hardened: whether it has limits, and headers for browsers.
    """

    bootstrap: str
    port: int
    secret: str
    hardened: bool


class Accepted(BaseModel):
    """The answer."""

    event_id: str
    status: str


class Way:
    """What the route works with.

    Args:
        ordinary: what it is told.
    """

    def __init__(self, ordinary: Ordinary) -> None:
        self._secret = ordinary.secret
        self.appender = Appender(ordinary.bootstrap, StreamNames("hooklog."))
        self._metrics = IngestMetrics(CollectorRegistry())
        verifier = verifier_of(AUTH_TYPE)
        assert verifier is not None
        self._verifier = verifier
        self._credentials = verifier.credential_headers({})

    async def accept(self, topic_id: str, request: Request) -> Accepted:
        """Verifies, names, stores and notes."""
        began = time.perf_counter()
        body = await request.body()
        headers = RequestHeaders(request.scope["headers"])
        try:
            verify(AUTH_TYPE, SignedRequest(headers, body, [self._secret], {}, time.time()))
        except VerificationError as error:
            raise HTTPException(403, error.code) from error
        event, key = self._event(topic_id, request, headers, body)
        await self.appender.append(
            EVENTS, body, key=key.encode(), headers=encode_event(event), timeout_s=ACK_DEADLINE_S
        )
        self._note(event, time.perf_counter() - began)
        return Accepted(event_id=event.event_id, status="QUEUED")

    def _event(self, topic_id: str, request: Request, headers: RequestHeaders, body: bytes) -> tuple[Event, str]:
        topic, places = TOPIC, self._verifier
        identity = identify(topic, headers, body, event_type=places.event_type, dedup_id=places.dedup_id)
        event = Event(
            event_id=new_id(),
            topic_id=topic_id,
            source_id=topic.source_id,
            event_type=identity.event_type,
            received_ms=time.time_ns() // 1_000_000,
            body=body,
            content_type=headers.text("content-type"),
            source_ip=request.client.host if request.client else "",
            dedup_id=identity.dedup_id,
            traceparent=traceparent_of(headers),
            request_headers=kept_headers(headers, self._credentials, [self._secret]),
        )
        return event, identity.partition_key(event.event_id)

    def _note(self, event: Event, elapsed_s: float) -> None:
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
            duplicate=False,
            source_ip=event.source_ip,
            duration_ms=round(elapsed_s * 1000, 2),
        )


def build(ordinary: Ordinary) -> FastAPI:
    """The application: one route."""
    way = Way(ordinary)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await way.appender.start()
        yield
        await way.appender.stop()

    app = FastAPI(lifespan=lifespan)

    @app.post("/api/v1/ingest/{topic_id}", status_code=202)
    async def accept(topic_id: str, request: Request) -> Accepted:
        return await way.accept(topic_id, request)

    if ordinary.hardened:
        _harden(app)
    return app


def _harden(app: FastAPI) -> None:
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if int(request.headers.get("content-length", "0")) > MAX_BODY_BYTES:
            return JSONResponse({"detail": "too large"}, 413)
        response = await call_next(request)
        response.headers.update(dict(ANSWER_HEADERS))
        return response


def main() -> None:
    """Serves until it is told to stop."""
    ordinary = Ordinary(**json.loads(sys.argv[1]))
    configure_logging("info")
    settle()
    uvicorn.run(
        build(ordinary),
        host="127.0.0.1",
        port=ordinary.port,
        http="httptools",
        loop="uvloop",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


if __name__ == "__main__":
    main()
