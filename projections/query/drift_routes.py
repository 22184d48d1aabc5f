"""`GET /api/v1/stats/schema-drift`."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from projections.query.examples import DRIFT
from projections.query.logs import Clock, json_of
from projections.query.openapi import answered, problem
from projections.query.parameters import DriftQuestion
from projections.query.readers import Readers
from projections.query.schema_drift import read_drift
from projections.query.span import span_of


def drift_routes(readers: Readers, now_ms: Clock) -> APIRouter:
    """The route; `projections.query.schema_drift` says what is looked at."""
    router = APIRouter(prefix="/api/v1/stats", tags=["stats"])
    docs = answered(DRIFT)
    docs["responses"] |= {404: problem("There is no such topic."), 409: problem("Another release wrote the topic.")}

    @router.get("/schema-drift", **docs)
    async def schema_drift(question: Annotated[DriftQuestion, Query()]) -> Response:
        """Where the events of a topic have come apart from the schemas of their types, by type.

        `events`, `invalid` (marked when they came in) and `too_large` (to be looked at) count all events of the
        range. `fields` are those of the `looked_at` events of a sample that the schema lacks, or whose type it does
        not allow; `missing` is what the schema requires and objects lacked. In a pointer `*` is any item of a list.
        `left_out` says that there were more fields than are told apart.
        """
        span = span_of(question.since, question.until, now_ms())
        return json_of(await readers.run(lambda client: read_drift(client, question, span)))

    return router
