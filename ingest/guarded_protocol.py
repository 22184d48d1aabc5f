"""uvicorn's HTTP protocol with the limits that it lacks: the size of a head, and the time to send one.

Measured without them: 120 MiB of one header line are taken, and a connection that sends nothing, or a byte now
and then, stays open for ever.
"""

import asyncio

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ingest.exchange import Exchange

MAX_HEAD_BYTES = 32_768
"""As nginx takes by default; providers send 2 KiB."""

HEAD_DEADLINE_S = 10.0
"""A head is one packet or two."""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """One connection; the server calls `close_when_late` now and then."""

    _waiting_since_s: float | None = None
    """Since when it owes us a head, or the rest of a body that was answered already."""
    _head_bytes = 0
    _in_message = False
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as upstream
        """Starts the clock: a silent connection is closed as well."""
        super().connection_made(transport)
        self._waiting_since_s = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head that is not complete."""
        if not self._in_message and self._waiting_since_s is None:
            self._waiting_since_s = self.loop.time()  # blank lines between requests are no request
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._close(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._head_bytes = 0
        if self._waiting_since_s is None:
            self._waiting_since_s = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is there; the body has a deadline of its own where it is read."""
        self._in_head = False
        self._waiting_since_s = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is there."""
        super().on_message_complete()
        self._in_message = False
        self._waiting_since_s = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override] # as above
        super()._start_asgi_task(cycle, Exchange(cycle, app))  # type: ignore[arg-type] # as above

    def on_response_complete(self) -> None:
        """From here on, nobody waits for the rest of the body."""
        super().on_response_complete()
        if self._in_message and self._waiting_since_s is None:
            self._waiting_since_s = self.loop.time()

    def close_when_late(self, now_s: float) -> None:
        """Closes the connection when it has kept us waiting too long.

        Args:
            now_s: the loop's time.
        """
        if self._waiting_since_s is not None and now_s - self._waiting_since_s > HEAD_DEADLINE_S:
            self._close(_TOO_SLOW if self._in_head and self._head_bytes else b"")

    def _close(self, answer: bytes) -> None:
        self._waiting_since_s = None
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
