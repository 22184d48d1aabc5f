"""One request and its answer between uvicorn and the application, on the short way where there is nothing to wait for.

uvicorn's cycle wakes an event for a body that is there already, writes head and body apart, and checks each header of
an answer against two patterns: 25 µs of an accepted event, of which this leaves 5. What is unusual goes uvicorn's way.
"""

from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

READY_BODY = "hooklog.ready_body"
"""In the scope: gives the body if it is all there, so that nobody need set a timer and wait; else `None`."""

JSON = (b"content-type", b"application/json")


class Exchange:
    """An ASGI app around the application of one request.

    Args:
        cycle: uvicorn's.
        app: answers.
    """

    def __init__(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        self._cycle = cycle
        self._app = app
        self._given = False
        self._start: Message | None = None
        self._send: Send = cycle.send  # type: ignore[assignment] # uvicorn's own names for the same messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the interface
        """Runs the application."""
        scope[READY_BODY] = self._ready_body
        try:
            await self._app(scope, self.receive, self.send)
        finally:
            # Else scope, cycle and this hold each other: 17 objects a request that the collector alone would free, and
            # it stops the process for tens of milliseconds, every few seconds.
            del scope[READY_BODY]

    def _ready_body(self) -> bytes | None:
        cycle = self._cycle
        if (
            self._given
            or cycle.more_body
            or cycle.waiting_for_100_continue
            or cycle.disconnected
            or cycle.response_complete
        ):
            return None
        self._given = True
        cycle.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    async def receive(self) -> Message:
        """ASGI's."""
        body = self._ready_body()
        if body is None:
            return await self._cycle.receive()  # type: ignore[return-value] # as above
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """ASGI's. The head waits for the body, so that both leave with one write."""
        start, self._start = self._start, None
        if start is None:
            if message["type"] == "http.response.start" and not self._cycle.response_started:
                if self._cycle.waiting_for_100_continue:
                    # The sender may leave the body out now, and nobody could tell what comes next (RFC 9110, 10.1.1).
                    self._cycle.keep_alive = False
                self._start = message
                return
        elif self._sent_at_once(start, message):
            return
        else:
            await self._send(start)
        await self._send(message)

    def _sent_at_once(self, start: Message, message: Message) -> bool:
        cycle = self._cycle
        body: bytes = message.get("body", b"")
        if (
            not cycle.keep_alive
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.access_log
            or cycle.scope["method"] != "POST"
            or message.get("more_body", False)
            or start["headers"] != [JSON, (b"content-length", b"%d" % len(body))]
        ):
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(_head(start["status"], len(body), *cycle.default_headers) + body)
        cycle.message_event.set()
        cycle.on_response()
        return True


@lru_cache(maxsize=1_024)  # few lengths of answers, and a date each second
def _head(status: int, body_bytes: int, *default_headers: tuple[bytes, bytes]) -> bytes:
    headers = (*default_headers, JSON, (b"content-length", b"%d" % body_bytes))
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % pair for pair in headers]) + b"\r\n"
