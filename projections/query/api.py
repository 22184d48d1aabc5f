"""The query service over HTTP."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response

from projections.audit.auditor import Auditor
from projections.query.audit_routes import audit_routes
from projections.query.config_routes import config_routes
from projections.query.drift_routes import drift_routes
from projections.query.errors import add_clickhouse_handler
from projections.query.examples import RESENT, TASK
from projections.query.logs import Clock, Id, json_of, log_routes
from projections.query.openapi import QueryApp, answered, found, problem
from projections.query.outcome_routes import outcome_routes
from projections.query.readers import Readers
from projections.query.rebuild_routes import rebuild_routes
from projections.query.replay_routes import replay_routes
from projections.query.replays import Replayer
from projections.query.resend import Resender
from projections.query.sql import sql_routes
from projections.query.sql_readers import SqlReaders
from projections.query.stats_routes import stats_routes
from projections.query.tail import Tail, tail_routes
from projections.query.tasks import read_task
from projections.query.try_routes import try_routes
from projections.rebuild.rebuilder import Rebuilder
from rules.addresses import AddressPolicy
from runtime.authorizer import Authorizer, actor_of
from runtime.docs_page import docs_routes
from runtime.health import Health
from runtime.problem import ProblemError, add_problem_handlers

MAX_KEY_CHARS = 255
"""Of an idempotency key, as Stripe's."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with.

    Attributes:
        logs: reads lists, timelines and tasks.
        streams: reads lists that are streamed, apart, so that they delay no page.
        stats: computes figures, apart, so that a month of them delays no timeline.
        sql: reads whatever is asked, apart for the same reason.
        tail: tells watchers what happens.
        resender: makes a delivery again.
        replayer: makes many again.
        choosers: go through many events, apart for the same reason.
        egress: where deliveries may go.
        rebuilder: makes the tables again.
        auditor: holds the tables against the log.
        now_ms: the clock, epoch milliseconds.
        clocks_apart_ms: how far the brokers' clocks may lie apart.
    """

    logs: Readers
    streams: Readers
    stats: Readers
    sql: SqlReaders
    tail: Tail
    resender: Resender
    replayer: Replayer
    choosers: Readers
    egress: AddressPolicy
    rebuilder: Rebuilder
    auditor: Auditor
    now_ms: Clock
    clocks_apart_ms: int


def build_api(authorizer: Authorizer, health: Health, parts: Parts) -> QueryApp:
    """The application; everything but health and the document needs a key.

    Args:
        authorizer: lets those pass who may.
        health: its routes.
        parts: what it works with.
    """
    app = QueryApp(version("hooklog"))
    add_problem_handlers(app)
    add_clickhouse_handler(app)
    app.router.routes.extend([*health.routes(), *docs_routes(app.openapi)])
    guarded = [Depends(authorizer)]
    logs = log_routes(parts.logs, parts.streams, parts.now_ms, parts.clocks_apart_ms)
    app.include_router(tail_routes(parts.tail), dependencies=guarded)
    app.include_router(logs, dependencies=guarded)
    app.include_router(stats_routes(parts.stats, parts.now_ms), dependencies=guarded)
    app.include_router(outcome_routes(parts.stats, parts.now_ms), dependencies=guarded)
    app.include_router(drift_routes(parts.stats, parts.now_ms), dependencies=guarded)
    app.include_router(config_routes(parts.logs, parts.now_ms), dependencies=guarded)
    app.include_router(_task_routes(parts.logs), dependencies=guarded)
    app.include_router(_resend_routes(parts.resender), dependencies=guarded)
    app.include_router(replay_routes(parts.logs, parts.replayer, parts.now_ms), dependencies=guarded)
    app.include_router(try_routes(parts.choosers, parts.egress, parts.now_ms), dependencies=guarded)
    app.include_router(rebuild_routes(parts.logs, parts.rebuilder), dependencies=guarded)
    app.include_router(sql_routes(parts.sql), dependencies=guarded)
    app.include_router(audit_routes(parts.auditor), dependencies=guarded)
    return app


def _task_routes(readers: Readers) -> APIRouter:
    router = APIRouter(tags=["tasks"])

    @router.get("/api/tasks/{task_id}", **found(TASK))
    async def task(task_id: Id) -> Response:
        """An event as a task: whether all that it leads to is done; its id is that of the event."""
        document = await readers.run(lambda client: read_task(client, task_id))
        if document is None:
            raise ProblemError(404, detail=f"there is no task {task_id}")
        return json_of(document)

    return router


def _resend_routes(resender: Resender) -> APIRouter:
    router = APIRouter(tags=["deliveries"])
    docs = answered(RESENT, 202, "Kafka has the new delivery.")
    docs["responses"] |= {
        404: problem("There is no such delivery."),
        409: problem("The subscription was deleted, made again, or is inactive."),
        410: problem("The payload is not kept any more."),
    }

    @router.post("/api/v1/deliveries/{delivery_id}/retry", status_code=202, **docs)
    async def retry_delivery(
        delivery_id: Id,
        request: Request,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MAX_KEY_CHARS)] = None,
    ) -> Response:
        """Delivers the same event to the same target again, as a new delivery with the same `webhook-id`.

        With an `Idempotency-Key`, asking again within a day makes no other one.
        """
        return json_of(await resender.resend(delivery_id, idempotency_key, actor_of(request)), 202)

    return router
