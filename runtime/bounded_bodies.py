"""Refuses bodies that are larger than any that is asked for, before a framework holds them in memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.problem import ProblemError

MAX_BODY_BYTES = 1_048_576
"""Some times the longest SQL query or replay that is taken."""

_CLOSE = {"Connection": "close"}  # else the server goes on reading what nobody wants
_DETAIL = f"a body may have at most {MAX_BODY_BYTES} bytes"


class BoundedBodies:
    """Pure ASGI. FastAPI reads a body before it asks who sends it.

    Args:
        app: what reads bodies.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            await ProblemError(413, detail=_DETAIL, headers=_CLOSE).response()(scope, receive, send)
            return
        received_bytes = 0

        async def bounded() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > MAX_BODY_BYTES:
                raise HTTPException(413, _DETAIL, _CLOSE)  # which FastAPI lets through where it reads a body
            return message

        await self._app(scope, bounded, send)
