"""An answer that is held in memory whole: how long it may take until it is sent, and that it keeps its turn so long."""

import asyncio
import contextlib
from collections.abc import Iterator

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

CHUNK_BYTES = 262_144
"""Of an answer; a client that takes none of it for a while is told by it."""

FIRST_SEND_S = 30.0
SEND_BYTES_A_S = 262_144
"""How slowly an answer may be taken: it holds memory and a turn until it is sent."""

Headers = list[tuple[bytes, bytes]]


async def send_held(status: int, headers: Headers, body: bytes, send: Send, first_send_s: float = FIRST_SEND_S) -> None:
    """Sends an answer, or cuts the connection of who takes it too slowly."""
    try:
        async with asyncio.timeout(first_send_s + len(body) / SEND_BYTES_A_S):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            for message in _chunks(body):
                await send(message)
    except OSError:  # TimeoutError is one
        log.warning("sql_answer_not_taken", bytes=len(body))  # returning early cuts the connection


def _chunks(body: bytes) -> Iterator[Message]:
    view = memoryview(body)
    for start in range(0, len(body), CHUNK_BYTES):
        yield {"type": "http.response.body", "body": bytes(view[start : start + CHUNK_BYTES]), "more_body": True}
    yield {"type": "http.response.body", "body": b""}


class HeldAnswer(Response):
    """A body that keeps a turn until it is sent.

    Args:
        body: all of it.
        media_type: of it.
        turn: left when it is sent, or nobody takes it.
        first_send_s: beside what its length allows.
    """

    def __init__(
        self, body: bytes, media_type: str, turn: contextlib.AsyncExitStack, first_send_s: float = FIRST_SEND_S
    ) -> None:
        super().__init__(body, media_type=media_type)
        self._turn = turn
        self._first_send_s = first_send_s

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Sends it."""
        async with self._turn:
            await send_held(self.status_code, self.raw_headers, bytes(self.body), send, self._first_send_s)
