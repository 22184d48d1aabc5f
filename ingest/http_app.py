"""The HTTP application of ingest, put together from its parts."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.config_openapi import config_components, problem
from ingest.config_routes import config_router
from ingest.endpoint import PATH, IngestEndpoint
from ingest.parts import Parts
from runtime.admin import AdminKey
from runtime.health import Health
from runtime.hosts import AllowedHosts
from runtime.problem import add_problem_handlers

_PATH_START = PATH.removesuffix("{topic_id}")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call.

    Attributes:
        admin_key: opens the config routes.
        host_names: extra names that a `Host` header may carry.
    """

    admin_key: str
    host_names: list[str]


class IngestApp(FastAPI):
    """FastAPI whose document also tells of the routes that FastAPI does not see."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document."""
        if not self.openapi_schema:
            document = super().openapi()
            document["paths"] = {PATH: {"post": _INGEST}} | document["paths"]
            components = document.setdefault("components", {})
            components["schemas"] = components.get("schemas", {}) | config_components() | {"Problem": _PROBLEM}
            components["securitySchemes"] = {"adminKey": {"type": "http", "scheme": "bearer"}}
        return self.openapi_schema or {}


class HotPath:
    """Leads events past the framework, whose routing and middleware cost as much as accepting an event.

    Args:
        endpoint: takes events.
        app: everything else, also what only looks like an event.
    """

    def __init__(self, endpoint: ASGIApp, app: ASGIApp) -> None:
        self._endpoint = endpoint
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on to one of the two."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(_PATH_START):
            topic_id = scope["path"][len(_PATH_START) :]
            if topic_id and "/" not in topic_id:
                scope["path_params"] = {"topic_id": topic_id}
                await self._endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)


def build_app(parts: Parts, access: Access, version: str, lifespan: Lifespan | None = None) -> ASGIApp:
    """The whole application.

    Args:
        parts: what it works with.
        access: who may call.
        version: of Hooklog, for the document.
        lifespan: starts and stops the parts.
    """
    app = IngestApp(title="Hooklog", version=version, lifespan=lifespan, redoc_url=None)
    endpoint = IngestEndpoint(parts.acceptor, parts.rejections, parts.metrics, parts.budget)
    health = Health("ingest", parts.checks(), parts.registry)
    app.router.routes.append(Route(PATH, endpoint, methods=["POST"], name="ingest"))
    app.router.routes.extend(health.routes())
    app.include_router(config_router(parts.commands, parts.tables, AdminKey(access.admin_key), parts.budget))
    add_problem_handlers(app)
    return AllowedHosts(HotPath(endpoint, app), access.host_names)


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; for programs."},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}

_ACCEPTED = {
    "type": "object",
    "required": ["event_id", "status"],
    "properties": {
        "event_id": {"type": "string"},
        "status": {"const": "QUEUED"},
        "duplicate": {
            "const": True,
            "description": "There when the event is known to repeat one of the last 24 hours, by its sender's id: it is"
            " stored, and delivered to nobody. A repetition that another process took may be found out only later.",
        },
    },
}

_INGEST = {
    "tags": ["ingest"],
    "summary": "Take an event in",
    "description": "The body may be anything; it is delivered byte for byte. 202 means that Kafka has it.",
    "operationId": "ingest",
    "parameters": [{"name": "topic_id", "in": "path", "required": True, "schema": {"type": "string"}}],
    "requestBody": {"content": {"*/*": {}}},
    "responses": {
        "202": {"description": "Stored.", "content": {"application/json": {"schema": _ACCEPTED}}},
        "403": problem("The sender's credentials are missing or wrong."),
        "404": problem("There is no such topic."),
        "408": problem("The body came too slowly."),
        "413": problem("The body is too large."),
        "415": problem("The body is encoded."),
        "503": problem("Kafka did not confirm: send it again after `Retry-After` seconds."),
    },
}
