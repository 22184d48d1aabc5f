"""One HTTP/1.1 connection to an endpoint: a request at a time, and as much of its answer as is worth reading.

Whatever a server does ends the request with an answer or a word for what went wrong, within the deadline and these
limits (RFC 9112).
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools

from processors.deliver.tls_reason import word_of

MAX_STORED_BYTES = 4_096
"""Of an answer's body: enough to see what an endpoint complained about."""

MAX_READ_BYTES = 65_536
"""An answer up to here is read to its end, so that its connection can be used again; beyond it is cut off."""

MAX_HEAD_BYTES = 65_536
"""Of an answer, interim answers and chunk overhead included: nginx takes 32 KiB, and an endpoint needs one."""

STOOD_STILL_S = 1.0
"""A deadline that is noticed so much later passed while this process did not run: paused, or its machine asleep."""

LAST_READ_S = 1.0
"""How long it then reads what was answered meanwhile, which the loop does not look at before it looks at the clock."""

_SWITCHING = 101
_FINAL = 200
_KEEP_ALIVE_MARGIN_S = 1.0
"""Before a server closes an idle connection we do: a request must not meet its end on the way."""


class NoAnswerError(Exception):
    """The request failed; the message is the reason in a word, such as `disconnected`."""


class StaleConnectionError(NoAnswerError):
    """The connection ended before one byte was answered: if it was a kept one, send again over a new one."""


class Reply(NamedTuple):
    """An answer.

    Attributes:
        body: its beginning.
        retry_after: the header of that name, as it came.
    """

    status: int
    body: bytes
    retry_after: str


class Connection(asyncio.Protocol):
    """One connection, made by `loop.create_connection`.

    Args:
        loop: that runs it.
        released: called when it can take another request.
        keep_s: how long it may wait for one.
        retire_s: loop time after which it takes none.

    Attributes:
        closed: it takes no request any more.
        idle_until_s: loop time until which it may be kept.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, released: Callable[["Connection"], None], keep_s: float, retire_s: float
    ) -> None:
        self._loop = loop
        self._released = released
        self._keep_s = keep_s
        self._retire_s = retire_s
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self.closed = False
        self.idle_until_s = 0.0

    async def request(self, raw: bytes, deadline_s: float) -> Reply:
        """Sends one request, and gives its answer.

        Args:
            raw: head and body.
            deadline_s: loop time at which the answer must be complete.

        Raises:
            NoAnswerError: there was none.
        """
        if self.closed or self._transport is None:
            raise StaleConnectionError("disconnected")
        self._expect()
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._reply = reply
        timer = self._loop.call_at(deadline_s, self._overdue, reply, deadline_s)
        self._transport.write(raw)
        try:
            return await reply
        finally:
            timer.cancel()
            if self._reply is reply:  # cancelled: what is answered now is nobody's
                self.close()
            del reply  # or a failure, its traceback and this frame, with the request, would keep each other

    def close(self) -> None:
        """Ends it at once."""
        self.closed = True
        self._reply = None
        if self._transport is not None:
            self._transport.abort()

    def _expect(self) -> None:
        self._status = 0
        self._overhead_bytes = 0
        self._read_bytes = 0
        self._body = bytearray()
        self._framed = False
        self._retry_after = ""
        self._answered = False
        self._surplus = False  # a second answer has begun

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Reads what came."""
        if self._reply is None:
            self.close()  # bytes that nobody asked for
            return
        self._answered = True
        self._overhead_bytes += len(data)  # what turns out to be body is taken off again
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NoAnswerError("malformed_response"))
        # Raw bytes are counted: the parser collects a header line without telling.
        if self._overhead_bytes > MAX_HEAD_BYTES:
            self._fail(NoAnswerError("malformed_response"))
        elif self._surplus:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended; that may be the end of an answer too."""
        if self._reply is not None:
            if self._status >= _FINAL and not self._framed and error is None:
                self._finish(keep=False)  # RFC 9112, section 6.3: a body without a length ends with the connection
            elif not self._answered:
                # A server that refuses our certificate says so where its answer would be (RFC 8446, section 4.4.2.4).
                self._fail(StaleConnectionError(word_of(error) if isinstance(error, ssl.SSLError) else "disconnected"))
            else:
                self._fail(NoAnswerError("connection_lost" if error else "malformed_response"))
        self.closed = True
        self._transport = None
        del self._parser  # it holds us: each ended connection would wait for the cycle collector, which looks seldom

    # the parser's side

    def on_message_begin(self) -> None:
        """An answer begins; after an interim one (1xx) another follows."""
        self._status = 0
        self._framed = False
        self._retry_after = ""
        self._surplus = self._reply is None

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        name = name.lower()
        if name == b"content-length":
            self._framed = True
        elif name == b"transfer-encoding":
            self._framed = value.lower().endswith(b"chunked")  # any other coding ends with the connection
        elif name == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif name == b"keep-alive":
            self._keep_s = min(self._keep_s, _promised_s(value) - _KEEP_ALIVE_MARGIN_S)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._status = self._parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        """Some of the body; what is too long is cut off, and its connection with it."""
        if self._reply is None:
            return
        self._overhead_bytes -= len(piece)
        self._read_bytes += len(piece)
        self._body += piece[: MAX_STORED_BYTES - len(self._body)]
        if self._read_bytes > MAX_READ_BYTES:
            self._finish(keep=False)

    def on_message_complete(self) -> None:
        """The end of an answer."""
        if self._status >= _FINAL:
            self._finish(keep=self._parser.should_keep_alive())
        elif self._status == _SWITCHING:
            self._fail(NoAnswerError("malformed_response"))

    # the end of a request

    def _finish(self, *, keep: bool) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if not reply.done():
            reply.set_result(Reply(self._status, bytes(self._body), self._retry_after))
        now_s = self._loop.time()
        if keep and not self.closed and self._keep_s > 0 and now_s < self._retire_s and self._all_sent():
            self.idle_until_s = min(now_s + self._keep_s, self._retire_s)
            self._released(self)
        else:
            self.close()

    def _all_sent(self) -> bool:
        # An answer may come before the whole body went out. A server that does not read on would take the rest, which
        # its sender chose, for the next request.
        return self._transport is not None and not self._transport.get_write_buffer_size()

    def _overdue(self, reply: "asyncio.Future[Reply]", deadline_s: float) -> None:
        if self._loop.time() < deadline_s + STOOD_STILL_S:
            self._give_up(reply)
        else:
            self._loop.call_later(LAST_READ_S, self._give_up, reply)

    def _give_up(self, reply: "asyncio.Future[Reply]") -> None:
        if self._reply is reply:  # else it was answered meanwhile, and another may be on its way
            self._fail(NoAnswerError("timeout"))

    def _fail(self, error: NoAnswerError) -> None:
        reply = self._reply
        self.close()
        if reply is not None and not reply.done():
            reply.set_exception(error)


def _promised_s(header: bytes) -> float:
    """How long a server keeps an idle connection, in `Keep-Alive: timeout=5, max=100`."""
    digits = header.lower().partition(b"timeout=")[2].partition(b",")[0].strip()
    return float(digits[:6]) if digits.isdigit() else float("inf")
