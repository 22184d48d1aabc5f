"""The query service over HTTP."""

from typing import Annotated

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import APIRouter, Depends, FastAPI, Path
from starlette.responses import JSONResponse

from projections.query.readers import Readers
from projections.query.sql import sql_routes
from projections.query.timeline import Document, read_timeline
from runtime.admin import AdminKey
from runtime.health import Health
from runtime.problem import ProblemError, add_problem_handlers


def build_api(admin: AdminKey, health: Health, logs: Readers, sql: Readers) -> FastAPI:
    """The application; everything but health needs the admin key.

    Args:
        admin: lets only the bearer of the key pass.
        health: its routes.
        logs: reads timelines.
        sql: reads whatever is asked, apart, so that a heavy query delays no timeline.
    """
    app = FastAPI(title="Hooklog query API", docs_url=None, redoc_url=None, openapi_url=None)
    add_problem_handlers(app)
    app.router.routes.extend(health.routes())
    guarded = [Depends(admin)]
    app.include_router(_log_routes(logs), dependencies=guarded)
    app.include_router(sql_routes(sql), dependencies=guarded)
    return app


def _log_routes(readers: Readers) -> APIRouter:
    router = APIRouter()

    @router.get("/api/v1/logs/events/{event_id}")
    async def timeline(event_id: Annotated[str, Path(max_length=128)]) -> JSONResponse:
        """Everything that happened to an event."""
        try:
            found: Document | None = await readers.run(lambda client: read_timeline(client, event_id))
        except ClickHouseError as error:
            raise ProblemError(503, detail="ClickHouse does not answer", headers={"Retry-After": "5"}) from error
        if found is None:
            raise ProblemError(404, detail=f"there is no event {event_id}")
        return JSONResponse(found)

    return router
