"""`/api/v1/{sources,topics,subscriptions}`: the configuration over HTTP, for holders of the admin key."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from ingest.body import BodyBudget, BodyReader
from ingest.config_commands import MUST_NOT_EXIST, ConfigCommands
from ingest.config_document import (
    MAX_DOCUMENT_BYTES,
    Document,
    check_document,
    parse_document,
    with_generated_secret,
    with_id,
    with_kept_secrets,
)
from ingest.config_openapi import ROUTE_DOCS
from ingest.config_pages import DEFAULT_LIMIT, MAX_LIMIT, page
from ingest.config_preview import preview
from ingest.preconditions import etag, require_preconditions
from rules.request_headers import RequestHeaders
from runtime.admin import AdminKey
from runtime.problem import ProblemError
from runtime.tables import ConfigTables
from schemas.config import SPECS, Spec
from schemas.ids import new_id
from schemas.outcome import Outcome
from schemas.stored import Record, masked

MAX_TRIES = 5
"""Of a PUT without a condition whose record others change meanwhile; two are enough for people."""


class ConfigRoutes:
    """The routes of one kind.

    Args:
        kind: `sources`, `topics` or `subscriptions`.
        commands: change records.
        tables: hold them.
        budget: the memory that all bodies share.
    """

    def __init__(self, kind: str, commands: ConfigCommands, tables: ConfigTables, budget: BodyBudget) -> None:
        self._kind = kind
        self._commands = commands
        self._tables = tables
        self._budget = budget

    async def create(self, request: Request) -> Response:
        """Creates a record; its secret is shown in this answer alone."""
        document = await self._document(request)
        document = with_generated_secret(self._kind, {"id": new_id()} | document)
        spec = check_document(self._kind, document)
        outcome = await self._commands.put(spec, MUST_NOT_EXIST)
        return self._created(spec, outcome)

    async def get(self, record_id: str) -> Response:
        """One record, its secrets masked."""
        await self._commands.catch_up()
        record = self._current(record_id)
        if record is None:
            raise ProblemError(404)
        return _json(masked(record), 200, {"ETag": etag(record.version)})

    async def get_page(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str, Query(max_length=128)] = "",
    ) -> Response:
        """Records in the order of their ids, secrets masked."""
        await self._commands.catch_up()
        return _json(page(self._tables.table(self._kind).records, limit, cursor), 200)

    async def put(self, record_id: str, request: Request) -> Response:
        """Creates or replaces a record; secrets that are masked or left out stay as they are."""
        document = with_id(await self._document(request), record_id)
        for _ in range(MAX_TRIES):
            await self._commands.catch_up()
            current = self._current(record_id)
            conditional = require_preconditions(request.headers, current)
            try:
                return await self._put(document, current)
            except ProblemError as problem:
                if problem.code not in {"exists", "version_changed"}:
                    raise
                if conditional:
                    raise ProblemError(412, detail=problem.detail) from problem
        raise ProblemError(409, detail="others changed it at every try; send If-Match with the version you read")

    async def check(self, record_id: str, request: Request) -> Response:
        """Says what a PUT of this document would change, or everything that is wrong with it; writes nothing."""
        document = with_id(await self._document(request), record_id)
        await self._commands.catch_up()
        current = self._current(record_id)
        spec = check_document(self._kind, with_kept_secrets(self._kind, document, current))
        return _json(preview(spec, current), 200)

    async def delete(self, record_id: str, request: Request) -> Response:
        """Deletes a record."""
        await self._commands.catch_up()
        current = self._current(record_id)
        if current is None:
            raise ProblemError(404)
        conditional = require_preconditions(request.headers, current)
        await self._commands.delete(self._kind, record_id, current.version if conditional else None)
        return Response(status_code=204)

    async def _put(self, document: Document, current: Record[Spec] | None) -> Response:
        # Always for the version that was read: a secret that is kept must be the one that is there.
        if current is None:
            spec = check_document(self._kind, with_generated_secret(self._kind, document))
            return self._created(spec, await self._commands.put(spec, MUST_NOT_EXIST))
        spec = check_document(self._kind, with_kept_secrets(self._kind, document, current))
        outcome = await self._commands.put(spec, current.version)
        return _json(self._shown(spec, outcome), 200, {"ETag": etag(outcome.version)})

    async def _document(self, request: Request) -> Document:
        reader = BodyReader(request.receive, RequestHeaders(request.scope["headers"]), self._budget)
        try:
            return parse_document(await reader.read(MAX_DOCUMENT_BYTES))
        except ProblemError:
            await reader.discard_rest()
            raise
        finally:
            reader.release()

    def _current(self, record_id: str) -> Record[Spec] | None:
        return self._tables.table(self._kind).records.get(record_id)

    def _shown(self, spec: Spec, outcome: Outcome) -> dict[str, Any]:
        # The table may already hold what somebody else made of it since.
        record = self._current(spec.id)
        if record is not None and record.version == outcome.version:
            return masked(record)
        return dict(outcome.record or {})

    def _created(self, spec: Spec, outcome: Outcome) -> Response:
        secrets = spec.model_dump(mode="json", include={"secret", "secrets"})
        headers = {
            "ETag": etag(outcome.version),
            "Location": f"/api/v1/{self._kind}/{spec.id}",
            "Cache-Control": "no-store",  # the secret is shown here and never again
        }
        return _json(self._shown(spec, outcome) | secrets, 201, headers)


def config_router(commands: ConfigCommands, tables: ConfigTables, admin_key: AdminKey, budget: BodyBudget) -> APIRouter:
    """The routes of every kind, behind the admin key."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(admin_key)])
    for kind in SPECS:
        routes = ConfigRoutes(kind, commands, tables, budget)
        for method, path, endpoint in (
            ("POST", f"/{kind}", routes.create),
            ("GET", f"/{kind}", routes.get_page),
            ("GET", f"/{kind}/{{record_id}}", routes.get),
            ("PUT", f"/{kind}/{{record_id}}", routes.put),
            ("POST", f"/{kind}/{{record_id}}/check", routes.check),
            ("DELETE", f"/{kind}/{{record_id}}", routes.delete),
        ):
            router.add_api_route(
                path,
                endpoint,
                methods=[method],
                operation_id=f"{kind}_{endpoint.__name__}",
                tags=[kind],
                response_class=Response,
                **ROUTE_DOCS[endpoint.__name__](kind),
            )
    return router


def _json(document: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, headers, media_type="application/json")
