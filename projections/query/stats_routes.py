"""`GET /api/v1/stats/…`."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from projections.query.examples import FIGURES, OVERVIEW
from projections.query.hourly import MAX_MS as HOURLY_MAX_MS
from projections.query.listing import start_of
from projections.query.logs import Clock, json_of
from projections.query.openapi import answered, listed
from projections.query.parameters import OverviewQuestion, StatsQuestion
from projections.query.readers import Readers
from projections.query.span import MAX_MS, span_of
from projections.query.stats import read_overview, read_stats, stats_key


def stats_routes(readers: Readers, now_ms: Clock) -> APIRouter:
    """The routes; `projections.query.stats` says what each figure is."""
    router = APIRouter(prefix="/api/v1/stats", tags=["stats"])

    async def read(column: str | None, question: StatsQuestion) -> Response:
        now, longest_ms = now_ms(), HOURLY_MAX_MS if question.chosen_step.of_hours else MAX_MS
        start = start_of(f"stats by {column}", question, stats_key(column), now, longest_ms)
        return json_of(await readers.run(lambda client: read_stats(client, column, question, start, now)))

    @router.get("/subscriptions", **listed({"subscription_id": "billing"} | FIGURES))
    async def stats_by_subscription(question: Annotated[StatsQuestion, Query()]) -> Response:
        """Success rate and durations of attempts by subscription and step.

        Every step that the range touches is there whole, unless nothing happened in it. Percentiles are by nearest
        rank over all attempts, failed ones included; of ranges over two days by steps of hours they are within 1.6 %.
        `deliveries` are those that ended then, each once an hour.
        """
        return await read("subscription_id", question)

    @router.get("/topics", **listed({"topic_id": "pushes"} | FIGURES))
    async def stats_by_topic(question: Annotated[StatsQuestion, Query()]) -> Response:
        """The same by topic."""
        return await read("topic_id", question)

    @router.get("/attempts", **listed(FIGURES))
    async def stats_of_attempts(question: Annotated[StatsQuestion, Query()]) -> Response:
        """The same of all together."""
        return await read(None, question)

    @router.get("/overview", **answered(OVERVIEW))
    async def overview(question: Annotated[OverviewQuestion, Query()]) -> Response:
        """Totals: events and deliveries by when the event was received, attempts by when they started."""
        now = now_ms()
        span = span_of(question.since, question.until, now)
        return json_of(await readers.run(lambda client: read_overview(client, question, span, now)))

    return router
