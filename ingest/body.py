"""Reads a request's body within limits of size, time and memory: whole or refused, never cut off."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Receive

from rules.request_headers import RequestHeaders
from runtime.problem import ProblemError

MAX_HELD_BYTES = 268_435_456
"""256 MiB of bodies waiting for Kafka: ten stalled seconds of 1 KiB events at 25,000 a second."""

BODY_DEADLINE_S = 30.0
"""A megabyte in half a minute is 280 kbit/s: slower is an attack or a broken line."""

BODY_GRACE_S = 10.0
"""As a head has: a body of the usual few KiB is one packet or two."""

LEAST_BYTES_PER_S = 4_096
"""What a body must bring for each second beyond: who drips holds a connection for ten seconds, not for thirty."""

MAX_DISCARD_BYTES = 4_194_304
"""A sender that is refused early reads the answer only after it has sent its body; this much is let pass."""

_DISCARD_S = 2.0


def nothing() -> None:
    """For those who cannot tell."""


MAX_BEGINNING_BYTES = 8_192
"""What is recorded of a refused body, and what tells an admission review."""


class SenderGoneError(Exception):
    """The sender hung up before its body was complete: nobody is there to answer."""


class BodyBudget:
    """Bytes of all bodies in memory together.

    Args:
        max_bytes: how many there may be.
    """

    def __init__(self, max_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_bytes = self._free_bytes = max_bytes

    @property
    def held_bytes(self) -> int:
        """How many are reserved now."""
        return self._max_bytes - self._free_bytes

    def take(self, count: int) -> None:
        """Reserves bytes.

        Raises:
            ProblemError: 503, there are too many in memory.
        """
        if count > self._free_bytes:
            raise ProblemError(503, "overloaded", "too much is waiting to be stored", headers={"Retry-After": "5"})
        self._free_bytes -= count

    def give(self, count: int) -> None:
        """Returns what was reserved."""
        self._free_bytes += count


class BodyReader:
    """Reads one body.

    Args:
        receive: ASGI's.
        headers: of the request.
        budget: what all bodies share.
        deadline_s: seconds from the beginning of `read` to the last byte.
        take_ready: the whole body if it is there already, else `None`: a timer costs as much as verifying a signature.

    Attributes:
        received_bytes: how many bytes of it were read.
        complete: whether the last one was.
    """

    def __init__(
        self,
        receive: Receive,
        headers: RequestHeaders,
        budget: BodyBudget,
        *,
        deadline_s: float = BODY_DEADLINE_S,
        take_ready: Callable[[], bytes | None] = nothing,
    ) -> None:
        self._receive = receive
        self._headers = headers
        self._budget = budget
        self._deadline_s = deadline_s
        self._read: bytes | bytearray = b""
        self._take_ready = take_ready
        self._held_bytes = 0
        self.received_bytes = 0
        self.complete = False

    async def read(self, max_bytes: int) -> bytes:
        """The whole body.

        Raises:
            ProblemError: 413 too large, 408 too slow, 503 no memory.
            SenderGoneError: the sender hung up.
        """
        declared = self._headers.text("content-length")
        if declared.isdigit() and int(declared) > max_bytes:
            raise _too_large(max_bytes)
        ready = self._take_ready()
        if ready is not None:
            self._count(ready, complete=True)
            self._take(ready, max_bytes)
            return ready
        try:
            await self._rest(max_bytes)
        except TimeoutError:
            raise ProblemError(408, "body_too_slow", f"no complete body after {self._patience_s():.3g} s") from None
        return bytes(self._read)

    async def _rest(self, max_bytes: int) -> None:
        began_s = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(began_s + self._patience_s()) as deadline:
            while not self.complete:
                await self._next(max_bytes)
                deadline.reschedule(began_s + self._patience_s())

    def beginning(self, max_bytes: int) -> bytes:
        """The first bytes of what was read."""
        return bytes(self._read[:max_bytes])

    async def peek(self, max_bytes: int) -> bytes:
        """The beginning of a body that was refused: read now, for a short while, unless it was read before."""
        with suppress(TimeoutError, SenderGoneError):
            async with asyncio.timeout(_DISCARD_S):
                while not self.complete and self.received_bytes < max_bytes and not self._headers.text("expect"):
                    self._hold((await self._message())[:max_bytes])  # of more, nothing is held
        return self.beginning(max_bytes)

    async def discard_rest(self) -> None:
        """Reads on for a short while, so that the sender comes to read the answer."""
        if self.complete or self._headers.text("expect"):
            return  # a sender that asked before sending (RFC 9110, section 10.1.1) has nothing on the way
        discarded_bytes = 0
        try:
            async with asyncio.timeout(_DISCARD_S):
                while not self.complete and discarded_bytes <= MAX_DISCARD_BYTES:
                    discarded_bytes += len(await self._message())
        except (TimeoutError, SenderGoneError):
            return

    def release(self) -> None:
        """Returns the memory; the body must not be used any more."""
        self._read = b""
        self._budget.give(self._held_bytes)
        self._held_bytes = 0

    def _patience_s(self) -> float:
        return min(self._deadline_s, BODY_GRACE_S + self.received_bytes / LEAST_BYTES_PER_S)

    async def _next(self, max_bytes: int) -> None:
        self._take(await self._message(), max_bytes)

    def _take(self, chunk: bytes, max_bytes: int) -> None:
        try:
            if self.received_bytes > max_bytes:
                raise _too_large(max_bytes)
            self._budget.take(len(chunk))
        except ProblemError:
            self._hold(chunk[:MAX_BEGINNING_BYTES])  # of a refused body the beginning is looked at
            raise
        self._held_bytes += len(chunk)
        self._hold(chunk)

    def _hold(self, chunk: bytes) -> None:
        if not self._read:
            self._read = chunk  # most bodies are one piece
        elif isinstance(self._read, bytearray):
            self._read += chunk
        else:
            self._read = bytearray(self._read) + chunk

    async def _message(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise SenderGoneError
        chunk: bytes = message.get("body", b"")
        self._count(chunk, complete=not message.get("more_body", False))
        return chunk

    def _count(self, chunk: bytes, *, complete: bool) -> None:
        self.received_bytes += len(chunk)
        self.complete = complete


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError(413, detail=f"the body may have at most {max_bytes} bytes", max_body_bytes=max_bytes)
