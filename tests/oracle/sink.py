"""A receiver in a process of its own, so that nothing that is killed takes its books with it.

    python -m tests.oracle.sink [--bodies]     prints its port, then serves until its standard input ends

POST /ok/<name> 200; /fail/<k>/<name> 500 to the first k requests of each webhook-id, then 200; /dead/<name> always
500; /slow/<ms>/<name> 200 after a while; /gone/<name> 410, /gone-after/<k>/<name> 500 to the first k requests, then
410; /busy/<status>/<s>/<name> that status with `Retry-After: <s>` to the first request of each webhook-id, then 200;
/until/<status>/<s>/<name> the same with a date so far ahead; /outage/<name> 503 until GET /mend/<name>; /down/<name>
503; /flap/<ms>/<ms>/<name> 503 for so long, then 200 for so long, and again. GET /books: every request. GET /count:
how many. GET /taken: to how many pairs of an endpoint and a webhook-id a 200 was answered.
"""

import asyncio
import base64
import json
import math
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from hashlib import sha256

KEPT_HEADERS = ("webhook-id", "x-retry-attempt")
"""Of all requests; with --bodies every header is kept."""

Head = list[tuple[str, str]]


@dataclass
class Entry:
    """One request.

    Attributes:
        at: epoch seconds at which its body was complete.
        answered: the status; 0 while it waits, or when the connection was gone before.
        ended: epoch seconds at which it was answered; 0 as above.
        body: base64, with --bodies only.
    """

    path: str
    headers: Head
    at: float
    sha256: str
    body_bytes: int
    answered: int = 0
    ended: float = 0.0
    body: str = ""

    @property
    def webhook_id(self) -> str:
        """The id of the event, as the request says."""
        return next((value for name, value in self.headers if name == "webhook-id"), "")


@dataclass
class Sink:
    """The books, and how to answer."""

    keep_bodies: bool
    books: list[Entry] = field(default_factory=list)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    mended: set[str] = field(default_factory=set)
    taken: set[tuple[str, str]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection until it ends."""
        try:
            while True:
                await self._one(reader, writer)
        except (EOFError, ConnectionError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        pairs = [line.partition(":") for line in lines if line]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        body = await reader.readexactly(int(dict(headers).get("content-length", "0")))
        if method == "GET":
            await _write(writer, 200, self._told(path))
            return
        entry = self._note(path, headers, body)
        status, head = await self._status(entry)
        if not writer.is_closing():
            entry.answered, entry.ended = status, time.time()
            if status == 200:
                self.taken.add((path, entry.webhook_id))
            await _write(writer, status, b"" if status == 200 else b"out of order", head)

    def _told(self, path: str) -> bytes:
        if path.startswith("/mend/"):
            self.mended.add(path.removeprefix("/mend/"))
        if path in {"/count", "/taken"}:
            return b"%d" % len(self.books if path == "/count" else self.taken)
        return json.dumps([asdict(entry) for entry in self.books]).encode()

    def _note(self, path: str, headers: Head, body: bytes) -> Entry:
        kept = headers if self.keep_bodies else [pair for pair in headers if pair[0] in KEPT_HEADERS]
        text = base64.b64encode(body).decode() if self.keep_bodies else ""
        entry = Entry(path, kept, time.time(), sha256(body).hexdigest(), len(body), body=text)
        self.books.append(entry)
        self.seen[path, entry.webhook_id] += 1
        return entry

    async def _status(self, entry: Entry) -> tuple[int, str]:
        _, kind, *rest = entry.path.split("/")
        times = self.seen[entry.path, entry.webhook_id]
        if kind == "slow":
            await asyncio.sleep(int(rest[0]) / 1_000)
        if kind == "fail" and times <= int(rest[0]):
            return 500, ""
        if self._overloaded(kind, rest, entry.at):
            return 503, ""
        if kind == "gone-after":
            path_times = sum(count for (path, _), count in self.seen.items() if path == entry.path)
            return (500 if path_times <= int(rest[0]) else 410), ""
        if kind == "busy" and times == 1:
            return int(rest[0]), f"Retry-After: {rest[1]}\r\n"
        if kind == "until" and times == 1:
            moment = formatdate(math.ceil(entry.at) + int(rest[1]), usegmt=True)
            return int(rest[0]), f"Retry-After: {moment}\r\n"
        return {"dead": 500, "gone": 410}.get(kind, 200), ""

    def _overloaded(self, kind: str, rest: list[str], at: float) -> bool:
        if kind == "flap":
            fails_s, works_s = int(rest[0]) / 1_000, int(rest[1]) / 1_000
            return at % (fails_s + works_s) < fails_s
        return kind == "down" or (kind == "outage" and rest[0] not in self.mended)


async def _write(writer: asyncio.StreamWriter, status: int, body: bytes, head: str = "") -> None:
    writer.write(b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), head.encode(), body))
    await writer.drain()


async def _main() -> None:
    sink = Sink(keep_bodies="--bodies" in sys.argv)
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, backlog=1_000, limit=1 << 20)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Whoever started it ends it by closing the pipe, also by dying.
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_main())
