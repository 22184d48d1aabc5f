"""The HTTP application of ingest, put together from its parts."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.config_routes import config_router
from ingest.endpoint import BATCH_PATH, SOURCE_PATH, TOPIC_PATH, IngestEndpoint
from ingest.handshake import HandshakeEndpoint
from ingest.key_routes import key_router
from ingest.openapi_batch import batch_paths
from ingest.openapi_config import config_components, config_paths
from ingest.openapi_events import event_paths, health_paths
from ingest.openapi_keys import key_components, key_paths
from ingest.openapi_problems import PROBLEM_SCHEMA
from ingest.openapi_topic_test import topic_test_paths
from ingest.parts import Parts
from ingest.topic_test import topic_test_router
from rules.address_guard import AddressGuard
from rules.forwarded import client_address
from runtime.authorizer import Authorizer
from runtime.docs_page import docs_routes
from runtime.guesses import FAILURES_PER_MINUTE, Guesses
from runtime.health import Health
from runtime.hosts import AllowedHosts
from runtime.http_metrics import HttpMetrics
from runtime.problem import add_problem_handlers
from runtime.trusted_proxies import TrustedProxies
from schemas.networks import Network

_PARAMS_BY_START = {path.partition("{")[0]: path.partition("{")[2][:-1] for path in (TOPIC_PATH, SOURCE_PATH)}
_TOPIC_START = TOPIC_PATH.partition("{")[0]

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call.

    Attributes:
        admin_key: opens everything, beside the API keys.
        host_names: extra names that a `Host` header may carry.
        proxies: networks of proxies that may say whom they talk to.
    """

    admin_key: str
    host_names: list[str]
    proxies: list[Network] = field(default_factory=list)


class IngestApp(FastAPI):
    """FastAPI whose document also tells of the routes that FastAPI does not see."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document."""
        if not self.openapi_schema:
            document = super().openapi()
            ours = event_paths(TOPIC_PATH, SOURCE_PATH) | batch_paths(BATCH_PATH)
            ours |= config_paths() | topic_test_paths() | key_paths() | health_paths()
            document["paths"] = ours | document["paths"]
            components = document.setdefault("components", {})
            ours = config_components() | key_components() | {"Problem": PROBLEM_SCHEMA}
            components["schemas"] = components.get("schemas", {}) | ours
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
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
        if scope["type"] == "http" and scope["method"] == "POST":
            params = _event_params(scope["path"])
            if params:
                scope["path_params"] = params
                await self._endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _event_params(path: str) -> dict[str, str] | None:
    for start, param in _PARAMS_BY_START.items():
        if path.startswith(start):
            value, slash, rest = path[len(start) :].partition("/")
            if rest == "batch" and start == _TOPIC_START:
                return {param: value, "batch": rest} if value else None
            return {param: value} if value and not slash else None
    return None


def build_app(parts: Parts, access: Access, version: str, lifespan: Lifespan | None = None) -> ASGIApp:
    """The whole application.

    Args:
        parts: what it works with.
        access: who may call.
        version: of Hooklog, for the document.
        lifespan: starts and stops the parts.
    """
    # No redirect to the path without its last slash: senders follow none, and behind a proxy it leads to plain http.
    app = IngestApp(
        title="Hooklog", version=version, lifespan=lifespan, openapi_url=None, redoc_url=None, redirect_slashes=False
    )
    endpoint = IngestEndpoint(parts.acceptor, parts.batches, parts.rejections, parts.metrics, parts.budget)
    health = Health("ingest", parts.checks(), parts.registry, parts.reasons)
    for path in (TOPIC_PATH, BATCH_PATH, SOURCE_PATH):
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    handshakes = HandshakeEndpoint(parts.acceptor, endpoint, parts.budget)
    for path in (TOPIC_PATH, SOURCE_PATH):
        app.router.routes.append(Route(path, handshakes, methods=["GET", "OPTIONS"]))
    app.router.routes.extend(health.routes())
    authorizer = Authorizer(access.admin_key, parts.keys, Guesses(AddressGuard(FAILURES_PER_MINUTE)), now_ms)
    app.include_router(config_router(parts, authorizer))
    app.include_router(topic_test_router(parts, authorizer))
    app.include_router(key_router(parts, authorizer))
    app.router.routes.extend(docs_routes(app.openapi))
    add_problem_handlers(app)
    # Beside the hot path, which counts for itself.
    whole = AllowedHosts(HotPath(endpoint, HttpMetrics(app, parts.registry)), access.host_names)
    if not access.proxies:
        return whole
    return TrustedProxies(whole, lambda peer, said: client_address(peer, said, access.proxies))


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
