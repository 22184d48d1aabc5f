"""`GET /api/v1/stats/errors` and `/funnel`."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from projections.query.funnel import read_funnel
from projections.query.logs import Clock, json_of
from projections.query.openapi import answered
from projections.query.outcome_examples import ERRORS, FUNNEL
from projections.query.outcome_questions import ErrorsQuestion, FunnelQuestion
from projections.query.readers import Readers
from projections.query.span import span_of
from projections.query.top_errors import read_errors


def outcome_routes(readers: Readers, now_ms: Clock) -> APIRouter:
    """The routes; `read_errors` and `read_funnel` say what each figure is."""
    router = APIRouter(prefix="/api/v1/stats", tags=["stats"])

    @router.get("/errors", **answered(ERRORS))
    async def top_errors(question: Annotated[ErrorsQuestion, Query()]) -> Response:
        """What goes wrong most: attempts without success by reason, status, error and, if wanted, whose they are.

        `count` is attempts and, where `kind` is `outcome`, ends without a request; `deliveries` how many deliveries
        they are of. The example is the newest. `more` says that there are groups beyond the limit.
        """
        span = span_of(question.since, question.until, now_ms())
        return json_of(await readers.run(lambda client: read_errors(client, question, span)))

    @router.get("/funnel", **answered(FUNNEL))
    async def funnel(question: Annotated[FunnelQuestion, Query()]) -> Response:
        """What became of all requests that came within a time: refused, skipped, delivered after how many retries.

        `accepted` = `dispatched` + `waiting`, and `matched` + `replayed` = `delivered` + `failed` + `cancelled` +
        `pending`, once all of them are stored.
        """
        span = span_of(question.since, question.until, now_ms())
        return json_of(await readers.run(lambda client: read_funnel(client, question, span)))

    return router
