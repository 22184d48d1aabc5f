"""An endpoint that answers as cheaply as Python can, in a process of its own.

    python -m benchmarks.sink     prints its port, then serves until its standard input ends

POST /ok/… 200; POST /once/… 500 to the first request of each `webhook-id`, then 200. GET / tells what was delivered:
path and `webhook-id` of each.
"""

import asyncio
import json
import sys
import time
from typing import cast

import httptools
import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_FAILED = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"


class Books:
    """What was delivered.

    Attributes:
        at: path and `webhook-id` to the epoch seconds of the first 200.
        requests: how many came.
        failed: what was refused once.
    """

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.requests = 0
        self.failed: set[str] = set()

    def told(self) -> bytes:
        """An answer with everything."""
        document = {"at": self.at, "requests": self.requests, "cpu_s": time.process_time()}
        body = json.dumps(document).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def counted(self) -> bytes:
        """An answer with how many were delivered."""
        body = b"%d" % len(self.at)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._id = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """The next request."""
        self._url = self._id = b""

    def on_url(self, url: bytes) -> None:
        """Its path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if name.lower() == b"webhook-id":
            self._id = value

    def on_message_complete(self) -> None:
        """Answers."""
        self._transport.write(self._answer())

    def _answer(self) -> bytes:
        books = self._books
        if self._url.startswith(b"/count"):
            return books.counted()
        if self._parser.get_method() == b"GET":
            return books.told()
        books.requests += 1
        text = f"{self._url.decode()} {self._id.decode()}"
        if self._url.startswith(b"/once/") and text not in books.failed:
            books.failed.add(text)
            return _FAILED
        books.at.setdefault(text, time.time())
        return _OK


async def _serve() -> None:
    books, loop = Books(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Endpoint(books), "127.0.0.1", 0, backlog=1_000)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
