"""`/api/v1/keys`: who may call, for admins alone."""

from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ingest.config_commands import MUST_NOT_EXIST
from ingest.config_document import Document, read_document
from ingest.config_pages import page
from ingest.config_queries import Paging, read_query
from ingest.config_routes import require_patch_type
from ingest.key_document import KeyChange, NewKey, changed_spec, read_key_document, shown_key
from ingest.parts import Parts
from runtime.api_key import key_hash, new_key
from runtime.authorizer import Authorizer, actor_of
from runtime.problem import ProblemError
from schemas.ids import new_id
from schemas.key import KeySpec
from schemas.outcome import Outcome
from schemas.stored import Record

MAX_TRIES = 5
"""Of a change whose key others change meanwhile; two are enough for people."""


class KeyRoutes:
    """The routes of API keys.

    Args:
        parts: of this process.
    """

    def __init__(self, parts: Parts) -> None:
        self._commands = parts.commands
        self._tables = parts.tables
        self._index = parts.index
        self._budget = parts.budget

    async def create(self, request: Request) -> Response:
        """Makes a key; it is shown in this answer alone."""
        wanted = read_key_document(NewKey, await self._document(request))
        key_id = new_id()
        key = new_key(key_id)
        spec = KeySpec(id=key_id, hash=key_hash(key), **wanted.model_dump())
        outcome = await self._commands.put(spec, MUST_NOT_EXIST, actor_of(request))
        location = {"Location": f"/api/v1/keys/{key_id}"}
        return _json(self._shown(spec, outcome) | {"key": key}, 201, location)

    async def get_page(self, request: Request) -> Response:
        """Keys in the order of their ids, which is that in which they were made."""
        query = read_query(Paging, request.query_params)
        await self._commands.catch_up()
        records = self._tables.table(KeySpec.kind).records
        ids = self._index.ids(KeySpec.kind)
        return _json(await page(ids, records, limit=query.limit, cursor=query.cursor, shown=shown_key), 200)

    async def get(self, key_id: str) -> Response:
        """One key, without what opens."""
        await self._commands.catch_up()
        return _json(shown_key(self._existing(key_id)), 200)

    async def patch(self, key_id: str, request: Request) -> Response:
        """Changes a key's name, role or end (RFC 7396)."""
        require_patch_type(request)
        change = read_key_document(KeyChange, await self._document(request))
        for _ in range(MAX_TRIES):
            await self._commands.catch_up()
            current = self._existing(key_id)
            spec = changed_spec(current.spec, change)
            try:
                outcome = await self._commands.put(spec, current.version, actor_of(request))
            except ProblemError as problem:
                if problem.code != "version_changed":
                    raise
            else:
                return _json(self._shown(spec, outcome), 200)
        raise ProblemError(409, detail="others changed it at every try")

    async def delete(self, key_id: str, request: Request) -> Response:
        """Revokes a key: it opens nothing any more."""
        await self._commands.catch_up()
        self._existing(key_id)
        if not await self._commands.delete(KeySpec.kind, key_id, None, actor_of(request)):
            raise ProblemError(404)
        return Response(status_code=204)

    def _existing(self, key_id: str) -> Record[KeySpec]:
        record = self._tables.key(key_id)
        if record is None:
            raise ProblemError(404)
        return record

    def _shown(self, spec: KeySpec, outcome: Outcome) -> Document:
        told = dict(outcome.record or {})
        stamps: dict[str, Any] = {name: told.get(name) for name in ("created_at", "updated_at")}
        return shown_key(Record(spec, outcome.version, outcome.generation, **stamps))

    async def _document(self, request: Request) -> Document:
        return await read_document(request, self._budget)


def key_router(parts: Parts, authorizer: Authorizer) -> APIRouter:
    """The routes of API keys; `openapi_keys` describes them."""
    routes = KeyRoutes(parts)
    router = APIRouter(prefix="/api/v1/keys", dependencies=[Depends(authorizer)], include_in_schema=False)
    router.add_api_route("", routes.create, methods=["POST"])
    router.add_api_route("", routes.get_page, methods=["GET"])
    router.add_api_route("/{key_id}", routes.get, methods=["GET"])
    router.add_api_route("/{key_id}", routes.patch, methods=["PATCH"])
    router.add_api_route("/{key_id}", routes.delete, methods=["DELETE"])
    return router


def _json(document: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, headers, media_type="application/json")
