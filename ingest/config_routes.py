"""`/api/v1/{sources,topics,subscriptions}`: the configuration over HTTP, for holders of a key."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ingest.body import BodyBudget
from ingest.cascade import Cascade
from ingest.config_commands import MUST_NOT_EXIST, ConfigCommands
from ingest.config_document import (
    Document,
    check_document,
    patched,
    read_document,
    with_generated_secret,
    with_id,
    with_kept_secrets,
)
from ingest.config_index import CHILDREN, ConfigIndex
from ingest.config_pages import page
from ingest.config_preview import preview
from ingest.config_queries import LIST_QUERIES, DeleteQuery, Paging, read_query
from ingest.parts import Parts
from ingest.preconditions import etag, require_preconditions
from ingest.references import References, reference
from ingest.sorted_ids import SortedIds
from runtime.authorizer import Authorizer, actor_of
from runtime.problem import ProblemError
from runtime.tables import ConfigTables
from schemas.config import SPECS, Spec
from schemas.ids import new_id
from schemas.outcome import Outcome
from schemas.stored import Record

MAX_TRIES = 5
"""Of a change without a condition whose record others change meanwhile; two are enough for people."""

PATCH_TYPES = ("application/merge-patch+json", "application/json")
"""RFC 7396, section 4; the second is what people send."""


class ConfigRoutes:
    """The routes of one kind.

    Args:
        kind: `sources`, `topics` or `subscriptions`.
        commands: change records.
        tables: hold them.
        index: knows their order, and who refers to whom.
        budget: the memory that all bodies share.
    """

    def __init__(
        self, kind: str, commands: ConfigCommands, tables: ConfigTables, index: ConfigIndex, budget: BodyBudget
    ) -> None:
        self._kind = kind
        self._commands = commands
        self._tables = tables
        self._index = index
        self._references = References(tables, index)
        self._cascade = Cascade(commands, tables, index)
        self._budget = budget

    async def create(self, request: Request) -> Response:
        """Creates a record; its secret is shown in this answer alone."""
        document = await self._document(request)
        document = with_generated_secret(self._kind, {"id": new_id()} | document)
        spec = check_document(self._kind, document)
        outcome = await self._commands.put(spec, MUST_NOT_EXIST, actor_of(request))
        return self._created(spec, outcome)

    async def get(self, record_id: str) -> Response:
        """One record, its secrets masked."""
        await self._commands.catch_up()
        record = self._existing(record_id)
        return _json(self._references.shown(record), 200, {"ETag": etag(record.version)})

    async def get_page(self, request: Request) -> Response:
        """Records in the order of their ids, secrets masked."""
        query = read_query(LIST_QUERIES[self._kind], request.query_params)
        await self._commands.catch_up()
        records = self._tables.table(self._kind).records
        ids = self._index.ids(self._kind)
        if query.parent_id is not None:
            ids = self._index.of_parent(self._kind, query.parent_id)
        shown = self._references.shown
        document = await page(ids, records, limit=query.limit, cursor=query.cursor, wanted=query.wants, shown=shown)
        return _json(document, 200)

    async def get_references(self, record_id: str, request: Request) -> Response:
        """What refers to a record: the topics of a source, the subscriptions of a topic."""
        query = read_query(Paging, request.query_params)
        await self._commands.catch_up()
        counts = self._references.counts(self._kind, record_id)
        self._require_known(record_id)
        child = CHILDREN.get(self._kind)
        ids = self._index.children(self._kind, record_id) if child else SortedIds()
        records = self._tables.table(child).records if child else {}
        document = await page(ids, records, limit=query.limit, cursor=query.cursor, shown=reference)
        return _json(document | {"counts": counts}, 200)

    async def put(self, record_id: str, request: Request) -> Response:
        """Creates or replaces a record; secrets that are masked or left out stay as they are."""
        document = with_id(await self._document(request), record_id)
        actor = actor_of(request)
        return await self._decided(record_id, request, lambda current: self._put(document, current, actor))

    async def patch(self, record_id: str, request: Request) -> Response:
        """Changes the fields that are named (RFC 7396): objects merge, `null` sets back to the default."""
        require_patch_type(request)
        document = with_id(await self._document(request), record_id)

        async def merge(current: Record[Spec] | None) -> Response:
            if current is None:
                raise ProblemError(404)
            return await self._replaced(patched(document, current), current, actor_of(request))

        return await self._decided(record_id, request, merge)

    async def check(self, record_id: str, request: Request) -> Response:
        """Says what a PUT of this document would change, or everything that is wrong with it; writes nothing."""
        document = with_id(await self._document(request), record_id)
        await self._commands.catch_up()
        current = self._current(record_id)
        spec = check_document(self._kind, with_kept_secrets(self._kind, document, current))
        return _json(preview(spec, current), 200)

    async def delete(self, record_id: str, request: Request) -> Response:
        """Deletes a record and, before it, what refers to it; a repeat finishes what was interrupted."""
        query = read_query(DeleteQuery, request.query_params)
        await self._commands.catch_up()
        current = self._current(record_id)
        self._require_known(record_id)
        conditional = require_preconditions(request.headers, current)
        if not query.cascade:
            self._cascade.require_unused(self._kind, record_id)
        if query.dry_run:
            return _json(self._cascade.preview(self._kind, record_id), 200)
        version = current.version if current and conditional else None
        if not await self._cascade.delete(self._kind, record_id, version, actor_of(request)):
            raise ProblemError(404)
        return Response(status_code=204)

    async def _decided(
        self, record_id: str, request: Request, change: Callable[[Record[Spec] | None], Awaitable[Response]]
    ) -> Response:
        """Makes a change to the version that is there, again when somebody else was faster."""
        for _ in range(MAX_TRIES):
            await self._commands.catch_up()
            current = self._current(record_id)
            conditional = require_preconditions(request.headers, current)
            try:
                return await change(current)
            except ProblemError as problem:
                if problem.code not in {"exists", "version_changed"}:
                    raise
                if conditional:
                    raise ProblemError(412, detail=problem.detail) from problem
        raise ProblemError(409, detail="others changed it at every try; send If-Match with the version you read")

    async def _put(self, document: Document, current: Record[Spec] | None, actor: str) -> Response:
        if current is None:
            spec = check_document(self._kind, with_generated_secret(self._kind, document))
            return self._created(spec, await self._commands.put(spec, MUST_NOT_EXIST, actor))
        return await self._replaced(with_kept_secrets(self._kind, document, current), current, actor)

    async def _replaced(self, document: Document, current: Record[Spec], actor: str) -> Response:
        # Always for the version that was read: a secret that is kept must be the one that is there.
        spec = check_document(self._kind, document)
        outcome = await self._commands.put(spec, current.version, actor)
        return _json(self._shown(spec, outcome), 200, {"ETag": etag(outcome.version)})

    async def _document(self, request: Request) -> Document:
        return await read_document(request, self._budget)

    def _current(self, record_id: str) -> Record[Spec] | None:
        return self._tables.table(self._kind).records.get(record_id)

    def _existing(self, record_id: str) -> Record[Spec]:
        record = self._current(record_id)
        if record is None:
            raise ProblemError(404)
        return record

    def _require_known(self, record_id: str) -> None:
        # What refers to an id that is gone, or not there yet, can be seen and deleted under that id.
        if not any(self._references.counts(self._kind, record_id).values()):
            self._existing(record_id)

    def _shown(self, spec: Spec, outcome: Outcome) -> dict[str, Any]:
        # The table may already hold what somebody else made of it since.
        record = self._current(spec.id)
        if record is not None and record.version == outcome.version:
            return self._references.shown(record)
        return self._references.with_warnings(dict(outcome.record or {}), spec)

    def _created(self, spec: Spec, outcome: Outcome) -> Response:
        secrets = spec.model_dump(mode="json", include={"secret", "secrets"})
        headers = {
            "ETag": etag(outcome.version),
            "Location": f"/api/v1/{self._kind}/{spec.id}",
        }
        return _json(self._shown(spec, outcome) | secrets, 201, headers)


def config_router(parts: Parts, authorizer: Authorizer) -> APIRouter:
    """The routes of every kind, for those who may; `openapi_config` describes them."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(authorizer)], include_in_schema=False)
    for kind in SPECS:
        routes = ConfigRoutes(kind, parts.commands, parts.tables, parts.index, parts.budget)
        one = f"/{kind}/{{record_id}}"
        router.add_api_route(f"/{kind}", routes.create, methods=["POST"])
        router.add_api_route(f"/{kind}", routes.get_page, methods=["GET"])
        router.add_api_route(one, routes.get, methods=["GET"])
        router.add_api_route(one, routes.put, methods=["PUT"])
        router.add_api_route(one, routes.patch, methods=["PATCH"])
        router.add_api_route(one, routes.delete, methods=["DELETE"])
        router.add_api_route(f"{one}/check", routes.check, methods=["POST"])
        router.add_api_route(f"{one}/references", routes.get_references, methods=["GET"])
    return router


def require_patch_type(request: Request) -> None:
    """Passes a request whose body says that it is a merge patch, or JSON.

    Raises:
        ProblemError: 415, it is something else.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in PATCH_TYPES:
        accepted = ", ".join(PATCH_TYPES)
        # RFC 5789, section 2.2: the answer tells what would be taken.
        raise ProblemError(415, detail=f"a patch is of type {PATCH_TYPES[0]}", headers={"Accept-Patch": accepted})


def _json(document: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, headers, media_type="application/json")
