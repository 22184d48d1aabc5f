"""An answer that is sent while it is made: as fast as its reader takes it, and no longer than somebody reads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from runtime.problem import ProblemError

SLOW_S = 30.0
"""Whoever takes nothing for so long is cut off; what was sent until then can be gone on from."""

BUSY_RETRY_S = 5


class Slots:
    """How many such answers there may be at a time.

    Args:
        most: at a time; the next one is told to come again.
        what: they are, for people.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self.taken = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """One of them.

        Raises:
            ProblemError: 503, all are taken.
        """
        if self.taken >= self._most:
            detail = f"{self._most} {self._what} are sent already"
            raise ProblemError(503, "too_many_streams", detail, headers={"Retry-After": str(BUSY_RETRY_S)})
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Streamed(Response):
    """Sends chunks until they or their reader end.

    What goes wrong before the first chunk is an answer; later, the answer ends in its midst, which HTTP shows.

    Args:
        chunks: what to send.
        media_type: of all of it.
        slots: one of which it takes.
        slow_s: how long its reader may take nothing.
    """

    def __init__(self, chunks: AsyncIterator[bytes], media_type: str, slots: Slots, slow_s: float = SLOW_S) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._chunks = chunks
        self._slots = slots
        self._slow_s = slow_s

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Sends it.

        Raises:
            ProblemError: 503, there are too many.
            TimeoutError: its reader takes nothing.
        """
        with self._slots.one():
            sending = asyncio.create_task(self._send(send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                for task in (sending, leaving):
                    task.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with contextlib.aclosing(self._chunks) as chunks:  # type: ignore[type-var] # generators are
            first = await anext(chunks, b"")
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await self._sent(send, start)
            await self._sent(send, _part(first))
            async for chunk in chunks:
                await self._sent(send, _part(chunk))
            await self._sent(send, _part(b"", more=False))

    async def _sent(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._slow_s):
            await send(message)


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
