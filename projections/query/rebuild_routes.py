"""`/api/v1/projections/rebuild`: every table made again from Kafka."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from projections.query.logs import json_of
from projections.query.openapi import answered, problem
from projections.query.readers import Readers
from projections.query.shown import Document, shown_row
from projections.query.upkeep_examples import REBUILD
from projections.rebuild import ledger
from projections.rebuild.ledger import Known, Rebuild
from projections.rebuild.rebuilder import Rebuilder, RebuildRunningError
from runtime.authorizer import actor_of
from runtime.problem import ProblemError
from schemas.headers import rfc3339
from schemas.ids import ulid_time_ms

PATH = "/api/v1/projections/rebuild"


def rebuild_routes(readers: Readers, rebuilder: Rebuilder) -> APIRouter:
    """Asking for a rebuild, and following it."""
    router = APIRouter(tags=["projections"])
    asked: dict[str, Any] = answered(REBUILD, 202, "It has begun, and goes on by itself.")
    asked["responses"][409] = problem("`rebuild_running`: there is one.")
    looked: dict[str, Any] = answered(REBUILD)
    looked["responses"][404] = problem("There was none yet.")

    @router.post(PATH, status_code=202, **asked)
    async def begin_rebuild(request: Request) -> Response:
        """Makes every table again from Kafka, beside those that are read, and then exchanges them.

        Rows whose records Kafka does not keep any more are taken over. Questions are answered from the old tables until
        then, and new rows go on coming.
        """
        await readers.run(ledger.latest)  # 503 until there are tables
        try:
            rebuild = await rebuilder.begin(actor_of(request))
        except RebuildRunningError as error:
            raise ProblemError(409, "rebuild_running", str(error)) from error
        return json_of(shown_rebuild(rebuild), 202)

    @router.get(PATH, **looked)
    async def last_rebuild() -> Response:
        """The last rebuild and how far it is: RUNNING, SWAPPING (for a moment), DONE, or FAILED and why."""
        known = await readers.run(ledger.latest)
        if known is None:
            raise ProblemError(404, detail="the tables were never rebuilt")
        return json_of(_shown_known(known))

    return router


def shown_rebuild(rebuild: Rebuild) -> Document:
    """A rebuild, as it is told."""
    return {
        "rebuild_id": rebuild.rebuild_id,
        "state": rebuild.state,
        "requested_by": rebuild.requested_by,
        "began_at": rfc3339(ulid_time_ms(rebuild.rebuild_id) or 0),
        "records": rebuild.records,
        "records_total": rebuild.records_total,
        "carried": rebuild.carried,
        "reason": rebuild.reason,
    }


def _shown_known(known: Known) -> Document:
    return shown_rebuild(known.rebuild) | shown_row({"updated_at": known.updated_at})
