"""`GET /api/v1/audit`: whether everything has become what it should."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from projections.audit.auditor import Auditor, AuditRequest
from projections.audit.log_cut import BehindError
from projections.query.errors import problem_of
from projections.query.logs import json_of
from projections.query.openapi import answered
from projections.query.parameters import Moment
from projections.query.shown import Document
from projections.query.span import parameter_ms, wrong_parameter
from projections.query.streamed import Slots, Streamed
from projections.query.upkeep_examples import AUDIT
from runtime.problem import ProblemError

log = structlog.get_logger(__name__)

MAX_AT_ONCE = 2
"""Each reads everything there is; a third one asks again later."""

BEAT_S = 5.0
"""Shorter than the patience of any client or proxy for a line."""

MAX_NAMED = 1_000
MAX_WAIT_S = 300.0


class AuditQuestion(BaseModel):
    """What is to be audited."""

    model_config = ConfigDict(extra="forbid")

    since: Moment = Field(
        None, description="Events received from then on; without it, all of which everything is kept."
    )
    until: Moment = Field(None, description="Until just before then; without it, now.")
    limit: int = Field(100, ge=1, le=MAX_NAMED, description="How many offenders are named; all are counted.")
    wait_s: float = Field(
        30.0, ge=0, le=MAX_WAIT_S, description="How long the tables may take to come as far as the streams are now."
    )
    progress: bool = Field(
        default=False,
        description='NDJSON: lines `{"progress"}` while it goes on, then `{"report"}` or `{"problem"}`.',
    )


def audit_routes(auditor: Auditor) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["audit"])
    turns, slots = asyncio.Semaphore(MAX_AT_ONCE), Slots(MAX_AT_ONCE, "audits")
    docs = answered(AUDIT)
    docs["responses"][200]["content"]["application/x-ndjson"] = {"example": json.dumps({"report": AUDIT})}

    @router.get("/api/v1/audit", **docs)
    async def audit(question: Annotated[AuditQuestion, Query()]) -> Response:
        """Holds the tables against the log and against themselves, event by event, and names what is wrong.

        It cuts where every stream ends now, waits until the tables are as far, and checks that each accepted event has
        one dispatch, each match a delivery, each delivery its attempts, and each record of Kafka its row.
        """
        request = _request_of(question, auditor.now_ms())
        if turns.locked():
            raise ProblemError(503, "audits_running", "other audits run; ask again", headers={"Retry-After": "5"})
        if question.progress:
            # Whoever takes nothing of it is cut off, and gives its turn free.
            return Streamed(_lines(auditor, request, turns), "application/x-ndjson", slots)
        async with turns:
            return json_of(await _audit(auditor, request, asyncio.Queue()))

    return router


def _request_of(question: AuditQuestion, now_ms: int) -> AuditRequest:
    since = None if question.since is None else parameter_ms("query.since", question.since, now_ms)
    until = None if question.until is None else parameter_ms("query.until", question.until, now_ms)
    if since is not None and until is not None and until < since:
        raise wrong_parameter("query.until", "is before since")
    return AuditRequest(since, until, question.limit, question.wait_s)


async def _audit(auditor: Auditor, request: AuditRequest, progress: "asyncio.Queue[str | None]") -> Document:
    try:
        return (await auditor.audit(request, progress.put)).document()
    except BehindError as error:
        raise ProblemError(503, "projections_behind", str(error), headers={"Retry-After": "5"}) from error
    except (KafkaError, TimeoutError) as error:
        raise ProblemError(503, detail="Kafka does not answer", headers={"Retry-After": "5"}) from error
    except ClickHouseError as error:
        raise problem_of(error, (500, "internal_error")) from error


async def _lines(auditor: Auditor, request: AuditRequest, turns: asyncio.Semaphore) -> AsyncIterator[bytes]:
    progress: asyncio.Queue[str | None] = asyncio.Queue()
    async with turns:
        running = asyncio.create_task(_audit(auditor, request, progress))
        running.add_done_callback(lambda _: progress.put_nowait(None))
        try:
            text: str | None = "begun"
            while text is not None:
                yield _line("progress", text)
                with contextlib.suppress(TimeoutError):  # the same again, so that whoever waits knows that it goes on
                    text = await asyncio.wait_for(progress.get(), BEAT_S)
            yield _end_of(running)
        finally:
            running.cancel()  # whoever asked has gone away


def _end_of(finished: "asyncio.Task[Document]") -> bytes:
    try:
        return _line("report", finished.result())
    except ProblemError as error:
        return _line("problem", json.loads(bytes(error.response().body)))
    except Exception:
        log.exception("audit_failed")
        return _line("problem", {"status": 500, "code": "internal_error", "title": "Internal error"})


def _line(name: str, value: object) -> bytes:
    return json.dumps({name: value}).encode() + b"\n"
