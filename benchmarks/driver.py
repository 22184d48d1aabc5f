"""Posts events over kept connections, as cheaply as Python can: it shares the cores with what is measured.

    python -m benchmarks.driver <plan as JSON>     prints what became of each event, as JSON

Every request is made and signed before the first one is sent.
"""

import asyncio
import hmac
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop


@dataclass(frozen=True)
class Plan:
    """What to post.

    Attributes:
        path: of the topic.
        secret: what it is signed with, as GitHub does.
        count: requests.
        first: the number of the first; numbers are in the bodies, so that no two are alike.
        connections: each has one request in flight.
        per_second: at a constant rate, or 0 for one after the other as fast as they are answered.
        body_bytes: of each.
        batch: events in one request; beyond one, each is an item of a JSON array.
    """

    port: int
    path: str
    secret: str
    count: int
    first: int = 0
    connections: int = 64
    per_second: float = 0.0
    body_bytes: int = 1_024
    batch: int = 1

    def content(self, number: int) -> tuple[bytes, dict[str, str]]:
        """The body of one request, and its headers as GitHub sends them.

        Args:
            number: of its only or first event.
        """
        events = [self._event(number + index) for index in range(self.batch)]
        body = b"[" + b",".join(events) + b"]" if self.batch > 1 else events[0]
        return body, {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": f"delivery-{number}",
            "X-Hub-Signature-256": "sha256=" + hmac.new(self.secret.encode(), body, "sha256").hexdigest(),
        }

    def _event(self, number: int) -> bytes:
        head = b'{"index": %d, "padding": "' % number
        return head + b"x" * (self.body_bytes - len(head) - 2) + b'"}'


@dataclass
class Posted:
    """What became of a plan, event by event, in the order of the answers.

    Attributes:
        ids: of the events; empty where it was refused.
        due: epoch seconds at which each was to be sent: later answers count from here, also when all connections
            were busy then.
        answered: epoch seconds.
        cpu_s: that the driver itself used meanwhile.
    """

    ids: list[str] = field(default_factory=list)
    due: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


def request_of(plan: Plan, number: int) -> bytes:
    """One request as GitHub sends it."""
    body, headers = plan.content(number)
    lines = [f"POST {plan.path} HTTP/1.1", f"Host: 127.0.0.1:{plan.port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Line(asyncio.Protocol):
    """One connection: sends the next request when the one before is answered and its time has come."""

    def __init__(self, requests: Iterator[tuple[float, bytes]], posted: Posted, ended: asyncio.Future[None]) -> None:
        self._requests = requests
        self._posted = posted
        self._ended = ended
        self._due = 0.0
        self._answer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def next(self) -> None:
        """Sends the next request, or ends."""
        offset, request = next(self._requests, (0.0, b""))
        if not request:
            self._transport.close()
            return
        wait_s = offset - time.time()
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self._send, offset, request)
        else:
            self._send(offset or time.time(), request)

    def _send(self, due: float, request: bytes) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        self._answer = b""
        self._posted.due.append(self._due)
        self._posted.answered.append(time.time())
        accepted = head.startswith(b"HTTP/1.1 202")
        self._posted.ids.append(body.partition(b'"event_id":"')[2][:26].decode() if accepted else "")
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._ended.done():
            self._ended.set_exception(exc)
        elif not self._ended.done():
            self._ended.set_result(None)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


async def post(plan: Plan) -> Posted:
    """Posts everything; returns when all is answered."""
    loop, posted = asyncio.get_running_loop(), Posted()
    bodies = [
        request_of(plan, number) for number in range(plan.first, plan.first + plan.count * plan.batch, plan.batch)
    ]
    ends, lines = [], []
    requests: list[tuple[float, bytes]] = []
    shared = iter(requests)
    for _ in range(plan.connections):
        ended: asyncio.Future[None] = loop.create_future()
        _, line = await loop.create_connection(
            lambda ended=ended: Line(shared, posted, ended),  # type: ignore[misc]
            "127.0.0.1",
            plan.port,
        )
        ends.append(ended)
        lines.append(line)
    started, cpu_s = time.time() + 0.1, time.process_time()
    requests += [
        (started + index / plan.per_second if plan.per_second else 0.0, body) for index, body in enumerate(bodies)
    ]
    for line in lines:
        line.next()
    await asyncio.gather(*ends)
    posted.cpu_s = time.process_time() - cpu_s
    return posted


def main() -> None:
    """Posts the plan that is given and prints what became of it."""
    plan = Plan(**json.loads(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(asdict(runner.run(post(plan)))))


if __name__ == "__main__":
    main()
