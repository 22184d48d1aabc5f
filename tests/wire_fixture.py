"""A server with ingest's guards around the smallest application, and bytes on real sockets."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvloop
from prometheus_client import CollectorRegistry, Counter
from starlette.types import Message, Receive, Scope, Send

from ingest.server import MAX_CONNECTIONS, Server, build_server
from tests.ingest_fixture import LoopThread, wait_until

Request = tuple[str, bytes, dict[bytes, bytes]]


class Wire:
    """The server, and what its application has got whole: path, body, headers.

    The application answers 200; `/large` with 8 MiB, `/slow` when it is `released`, `/early` before the body is there.
    """

    def __init__(self, max_connections: int) -> None:
        self.requests: list[Request] = []
        self.registry = CollectorRegistry()
        self.released = False
        counter = Counter("turned_away", "Why.", ["why"], registry=self.registry)
        self.server: Server = build_server(self._app, "127.0.0.1", 0, counter, None, max_connections=max_connections)

    @property
    def port(self) -> int:
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    def turned_away(self, why: str) -> float:
        return self.registry.get_sample_value("turned_away_total", {"why": why}) or 0.0

    def connect(self, timeout_s: float = 60.0) -> socket.socket:
        sender = socket.create_connection(("127.0.0.1", self.port))
        sender.settimeout(timeout_s)
        return sender

    def exchange(self, *parts: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        with self.connect() as sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each part is a packet
            with suppress(ConnectionError):  # it may close meanwhile
                for part in parts:
                    sender.sendall(part)
            return received(sender)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        body = b""
        while scope["path"] != "/early":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.requests.append((scope["path"], body, dict(scope["headers"])))
        while scope["path"] == "/slow" and not self.released:
            await asyncio.sleep(0.1)
        answer = bytes(8_388_608) if scope["path"] == "/large" else b"ok"
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _live(receive: Receive, send: Send) -> None:
    message: Message = await receive()
    await send({"type": f"{message['type']}.complete"})
    message = await receive()
    await send({"type": f"{message['type']}.complete"})


def received(sender: socket.socket) -> bytes:
    answer = b""
    with suppress(ConnectionError):
        while chunk := sender.recv(65_536):
            answer += chunk
    return answer


def statuses(answer: bytes) -> list[int]:
    """The statuses of the responses in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@contextmanager
def serving(max_connections: int = MAX_CONNECTIONS) -> Iterator[Wire]:
    wire = Wire(max_connections)
    thread = LoopThread(wire.server.serve(), uvloop.new_event_loop)
    try:
        wait_until(lambda: wire.server.started)
        yield wire
    finally:
        wire.released = wire.server.should_exit = True
        thread.join()
