"""`/health`, `/ready` and `/metrics`, the same on every service."""

from collections.abc import Callable

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Check = Callable[[], bool]
Reasons = Callable[[], list[str]]


MAX_REASONS = 20
"""An answer that a supervisor reads is a few kilobytes; `hooklog expired` lists all."""


class Health:
    """What a service can say of itself.

    Args:
        service: its name.
        checks: what must hold before it can do its job, by name.
        registry: its metrics.
        reasons: sentences for people that say more of what does not hold.
    """

    def __init__(
        self, service: str, checks: dict[str, Check], registry: CollectorRegistry, reasons: Reasons = list
    ) -> None:
        self._service = service
        self._reasons = reasons
        self._checks = checks
        self._registry = registry

    def routes(self) -> list[Route]:
        """Starlette routes; they need no key."""
        return [
            Route("/health", self._health),
            Route("/ready", self._ready),
            Route("/metrics", self._metrics),
        ]

    def ready(self) -> dict[str, bool]:
        """Each check's answer now."""
        return {name: bool(check()) for name, check in self._checks.items()}

    async def _health(self, _: Request) -> Response:
        return _json({"service": self._service, "alive": True}, 200)

    async def _ready(self, _: Request) -> Response:
        checks = self.ready()
        ready = all(checks.values())
        document = {"service": self._service, "ready": ready, "checks": checks}
        if reasons := self._reasons():
            document["reasons"] = reasons[:MAX_REASONS]
        return _json(document, 200 if ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _json(document: object, status: int) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
