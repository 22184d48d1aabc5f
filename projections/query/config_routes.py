"""`GET /api/v1/config…`: the configuration as of any time, what changed between two, and the history of a record."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from projections.query.config_examples import CHANGE, CONFIG_DIFF, CONFIG_RECORD
from projections.query.config_history import CHANGE_KEY, RECORD_KEY, read_config, read_diff, read_history
from projections.query.config_questions import ConfigQuestion, DiffQuestion, Kind, PageQuestion
from projections.query.cursor import KeyColumn, decode_cursor, question_id
from projections.query.listing import PAGE_ONLY, Start
from projections.query.logs import Clock, Id, json_of
from projections.query.openapi import listed
from projections.query.readers import Readers
from projections.query.span import Span, time_ms
from runtime.problem import ProblemError


def config_routes(readers: Readers, now_ms: Clock) -> APIRouter:
    """The routes; `projections.query.config_history` reads for them."""
    router = APIRouter(prefix="/api/v1/config", tags=["config"])

    @router.get("", **listed(CONFIG_RECORD))
    async def config_at(question: Annotated[ConfigQuestion, Query()]) -> Response:
        """Sources, topics and subscriptions as they were at a time, by kind and id; secrets are masked.

        `updated_by` says who made the version that was in force.
        """
        now = now_ms()
        span = Span(0, time_ms(question.at, now) if question.at else now)
        start = _start("config", question, RECORD_KEY, span)
        return json_of(await readers.run(lambda client: read_config(client, question, start)))

    @router.get("/diff", **listed(CONFIG_DIFF))
    async def config_diff(question: Annotated[DiffQuestion, Query()]) -> Response:
        """Records that are not the same at two times, field by field.

        `times` says how often a record changed in between. A record whose secrets alone changed has another version,
        and no `changes`.
        """
        now = now_ms()
        span = Span(time_ms(question.since, now), time_ms(question.until, now) if question.until else now)
        if span.until_ms is not None and span.until_ms < span.since_ms:
            errors = [{"field": "query.to", "message": "is before from"}]
            raise ProblemError(422, detail="to: is before from", errors=errors)
        start = _start("config diff", question, RECORD_KEY, span)
        return json_of(await readers.run(lambda client: read_diff(client, question, start)))

    @router.get("/{kind}/{record_id}/history", **listed(CHANGE))
    async def config_history(kind: Kind, record_id: Id, question: Annotated[PageQuestion, Query()]) -> Response:
        """Every change of a record and every one that was refused, newest first, each with the fields it changed."""
        start = _start(f"config {kind} {record_id}", question, CHANGE_KEY, Span(0, None))
        return json_of(await readers.run(lambda client: read_history(client, kind, record_id, question, start)))

    return router


def _start(name: str, question: PageQuestion, key: Sequence[KeyColumn], span: Span) -> Start:
    asked = question_id(name, question.model_dump_json(exclude=PAGE_ONLY))
    if question.cursor is None:
        return Start(asked, span)
    position = decode_cursor(question.cursor, asked, key)
    return Start(asked, position.span, position.key)
