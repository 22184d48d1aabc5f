"""Requests by route, method and status, and how long they took: the same on every service."""

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"
"""Label of what no route of ours takes: whoever calls must not choose how many labels there are."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class HttpMetrics:
    """Pure ASGI: counts a request when it is over, also one that failed.

    The route is the template that FastAPI leaves in the scope, such as `/api/v1/logs/events/{event_id}`; an
    application that routes past FastAPI says it as `scope["route_template"]`.

    Args:
        app: what to measure.
        registry: where the figures are shown.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "hooklog_http_requests",
            "HTTP requests by route, method and the status answered; 0 is no answer.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "hooklog_http_request_seconds",
            "From a request's headers to the end of its answer.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and counts it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, noted)
        finally:
            route = route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            self._requests.labels(route, method, str(status)).inc()
            self._seconds.labels(route).observe(time.perf_counter() - began)


def route_of(scope: Scope) -> str:
    """The template of the route that took a request."""
    route: Any = scope.get("route")
    template = scope.get("route_template") or getattr(route, "path_format", None) or getattr(route, "path", None)
    if isinstance(template, str):
        return template
    # Starlette's own routes leave no template; one without parameters is its path.
    return scope["path"] if "endpoint" in scope and not scope.get("path_params") else OTHER
