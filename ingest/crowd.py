"""Turns requests away while there are too many connections, and says when to come again."""

from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.turned_away import CountedState
from runtime.problem import ProblemError

_PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Always answered: whoever runs Hooklog must see what is going on, and a restart would help nobody."""


class Crowd:
    """Pure ASGI: 503 for who came last; uvicorn's own says neither why nor until when.

    Args:
        app: for everybody else.
        state: of the server.
        max_connections: beyond which requests are turned away.
    """

    def __init__(self, app: ASGIApp, state: CountedState, max_connections: int) -> None:
        self._app = app
        self._state = state
        self._max_connections = max_connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 503."""
        if len(self._state.connections) > self._max_connections and scope.get("path", "/health") not in _PROBES:
            self._state.count("crowded")
            headers = {"Retry-After": "5", "Connection": "close"}
            problem = ProblemError(503, "overloaded", "there are too many connections", headers=headers)
            await problem.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)
