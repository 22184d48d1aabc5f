"""uvicorn's HTTP protocol with the limits that it lacks.

Measured without them: 120 MiB of one header line are taken; a connection that sends nothing, or a byte now and then, or
reads no answer, stays open for ever; what one packet holds of pipelined requests is all taken in; and the body of a
request that offers an upgrade, as Java's client does by default, is lost, or taken for the next request (uvicorn's
issue 2722).
"""

import asyncio
import socket
import struct
import sys

import httptools
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ingest.exchange import Exchange
from ingest.turned_away import CountedState, answer
from rules.request_head import (
    MALFORMED,
    MAX_HEAD_BYTES,
    TOO_LARGE,
    TOO_MUCH_FRAMING,
    TOO_SLOW,
    HeadFault,
    head_fault,
    without_offer,
)

HEAD_DEADLINE_S = 10.0
"""A head is one packet or two."""

UNREAD_DEADLINE_S = 30.0
"""The largest answer is a page of a list, some hundred KiB: slower is nobody who reads."""

MAX_PIPELINED = 64
"""Requests that wait behind one of the same connection; each costs some KiB, and no sender of webhooks does that."""

FRAMING_PER_BYTE = 16
"""Bytes around each byte of a chunked body: chunks of one byte have five. More is chunk extensions or trailers."""


class _RefusedError(Exception):
    """Stops the parser."""


class _Trailers(list[tuple[bytes, bytes]]):
    """Takes trailer fields and forgets them: among the headers they could be mistaken for them (RFC 9110, 6.5.1)."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keeps nothing."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection; the server calls `close_when_late` now and then."""

    server_state: CountedState
    _waiting_since_s: float | None = None
    """Since when it owes us a head, or the rest of a body that was answered already."""
    _idle_since_s: float | None = None
    """Since when everything is answered, and nothing asked."""
    _unread_since_s: float | None = None
    """Since when it does not read what we answer."""
    _closing_since_s: float | None = None
    _message_bytes = 0
    _body_bytes = 0
    _messages_begun = 0
    _in_message = False
    _in_head = True
    _fault: HeadFault | None = None
    _plain_head: bytes | None = None
    """The head of a request that offers an upgrade, without the offer."""
    _packet = b""
    """What the parser is reading."""
    _deaf = False
    """Whether nothing more is read: it closes when what was asked before is answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as upstream
        """Starts the clock: a silent connection is closed as well."""
        super().connection_made(transport)
        self._waiting_since_s = self.loop.time()
        if self.server_state.full:
            self.server_state.count("full")
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a message that is not complete."""
        if self._deaf:
            return
        self._idle_since_s = None
        if not self._in_message and self._waiting_since_s is None:
            self._waiting_since_s = self.loop.time()  # blank lines between requests are no request
        self._packet = data
        fresh, begun = not self._in_message, self._messages_begun
        super().data_received(data)
        self._packet = b""  # an idle connection holds nothing
        begun = self._messages_begun - begun
        if begun == 0 or (fresh and begun == 1):  # else most of it belongs to the messages before
            self._message_bytes += len(data)
        if self._in_head and self._message_bytes > MAX_HEAD_BYTES:
            self._refuse(TOO_LARGE)
        elif self._message_bytes - self._body_bytes * (FRAMING_PER_BYTE + 1) > 2 * MAX_HEAD_BYTES and self._in_message:
            self._refuse(TOO_MUCH_FRAMING)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._message_bytes = self._body_bytes = 0
        self._messages_begun += 1
        if self._waiting_since_s is None:
            self._waiting_since_s = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is there; the body has a deadline of its own where it is read."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._fault = head_fault(method, version, self.url, self.headers)
        if self._fault is not None or len(self.pipeline) >= MAX_PIPELINED:
            raise _RefusedError
        if self.parser.should_upgrade():
            self._plain_head = without_offer(method, version, self.url, self.headers)
            return  # the parser stops behind the head, and tells where that is
        super().on_headers_complete()  # which may find fault with the target
        self._in_head = False
        self._waiting_since_s = None
        self.headers = _Trailers()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is there."""
        if self._plain_head is not None:
            return
        super().on_message_complete()
        self._in_message = False
        self._waiting_since_s = None
        if self.cycle.response_complete:  # it was answered before its body was there
            self._idle_since_s = self.loop.time()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override] # as above
        super()._start_asgi_task(cycle, Exchange(cycle, app))  # type: ignore[arg-type] # as above

    def on_response_complete(self) -> None:
        """From here on, nobody waits for the rest of the body."""
        # As upstream, but for a timer that our clock makes needless.
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())  # type: ignore[arg-type] # as above
        if not self._in_message:
            if self.cycle.response_complete:  # else the next one is in work already
                self._idle_since_s = self.loop.time()
        elif self._waiting_since_s is None:
            self._waiting_since_s = self.loop.time()

    def pause_writing(self) -> None:
        """Answers wait for the other side to read."""
        super().pause_writing()
        self._unread_since_s = self.loop.time()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._unread_since_s = None

    def _unsupported_upgrade_warning(self) -> None:
        # The parser takes what follows for the other protocol, so a new one reads the same request without the offer:
        # a server may ignore it (RFC 9110, section 7.8).
        stopped, head, self._plain_head = sys.exception(), self._plain_head, None
        if not isinstance(stopped, httptools.HttpParserUpgrade) or head is None:
            self._refuse(MALFORMED)
            return
        self._packet = head + self._packet[stopped.args[0] :]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as upstream
        super().data_received(self._packet)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - upstream's says less
        """Refuses what the parser did not take."""
        self._refuse(self._fault or MALFORMED)

    def close_when_late(self, now_s: float, idle_s: float) -> None:
        """Closes the connection when it has kept us waiting too long.

        Args:
            now_s: the loop's time.
            idle_s: how long it may stay open without a request.
        """
        if self.transport.is_closing():
            self._closing_since_s = self._closing_since_s or now_s
        if _is_over(self._unread_since_s or self._closing_since_s, now_s, UNREAD_DEADLINE_S):
            self.server_state.count("unread")
            self._cut_off()
        elif _is_over(self._waiting_since_s, now_s, HEAD_DEADLINE_S):
            begun = self._in_message and self._in_head
            self._refuse(TOO_SLOW, silently=not begun)
        elif _is_over(self._idle_since_s, now_s, idle_s):
            self.transport.close()

    def _cut_off(self) -> None:
        # Closing would wait until the other side has read, and so would the kernel for minutes, with its buffers.
        connected: socket.socket = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _refuse(self, fault: HeadFault, *, silently: bool = False) -> None:
        self._waiting_since_s = None
        if self.transport.is_closing() or self._deaf:
            return
        self.server_state.count(fault.code)
        between = self._in_head or not self._in_message
        if between and self.cycle is not None and not self.cycle.response_complete:
            self._deaf = True  # an answer now would be taken for that of an earlier request
            self.cycle.keep_alive = False
            return
        started = not between and (bool(self.pipeline) or self.cycle.response_started)
        if not silently and not started:
            self.transport.write(answer(fault))
        self.transport.close()


def _is_over(since_s: float | None, now_s: float, limit_s: float) -> bool:
    return since_s is not None and now_s - since_s > limit_s
