"""A sender that behaves as real ones do: it signs, repeats what was not answered, and writes down what it knows."""

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from tests.oracle.http import Connection, NoAnswerError

MAX_TRIES = 60
"""Of one event; with a pause after each, more than any outage of a test."""

RETRY_PAUSE_S = 0.5


@dataclass
class Sent:
    """One event, as its sender knows it.

    Attributes:
        event_id: from the 202; empty when there never was one.
        unanswered: tries of which nobody can say whether they were taken.
    """

    index: int
    topic_id: str
    event_type: str
    sha256: str
    event_id: str = ""
    unanswered: int = 0
    refused: list[int] = field(default_factory=list)
    began: float = 0.0
    answered: float = 0.0


@dataclass(frozen=True)
class Load:
    """How many events to post, of which types in turn, how fast, and how large their padding is in bytes.

    Attributes:
        repeated: of so many events one is posted again, as by a sender that missed the answer; 0 is none.
    """

    count: int
    event_types: Sequence[str]
    per_second: float
    padding: int = 0
    repeated: int = 0


def github_headers(body: bytes, secret: str, event_type: str, delivery: str) -> dict[str, str]:
    """What GitHub sends with a webhook (docs.github.com, "Validating webhook deliveries")."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Event": event_type,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest(),
    }


@dataclass
class Sender:
    """Posts events to one topic, to each ingest process in turn.

    Args:
        ports: of the ingest processes; a try goes to the next one.
        topic_id: where to.
        secret: what it signs with, as GitHub does.
        connections: how many requests may wait at a time.
    """

    ports: Sequence[int]
    topic_id: str
    secret: str
    connections: int = 16
    books: list[Sent] = field(default_factory=list)
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    """Begins its ids of events: another sender's are no repetitions of them."""

    async def send_many(self, load: Load) -> None:
        """Posts events at a steady pace; returns when all are answered or given up."""
        start, first = time.monotonic(), len(self.books)
        numbers = iter(range(load.count))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.connections):
                tasks.create_task(self._work(load, numbers, start, first))

    async def _work(self, load: Load, numbers: Iterator[int], start: float, first: int) -> None:
        connections = [Connection(port) for port in self.ports]
        for number in numbers:
            await asyncio.sleep(max(0.0, start + number / load.per_second - time.monotonic()))
            event_type = load.event_types[number % len(load.event_types)]
            await self._send(connections, first + number, event_type, load.padding)
            if load.repeated and number % load.repeated == 0:
                await self._send(connections[::-1], first + number, event_type, load.padding)
        for connection in connections:
            connection.close()

    async def send_one(self, event_type: str, body: bytes, port: int | None = None) -> Sent:
        """Posts one event with this body."""
        connections = [Connection(port)] if port else [Connection(number) for number in self.ports]
        sent = Sent(len(self.books), self.topic_id, event_type, sha256(body).hexdigest())
        await self._post(connections, sent, body)
        for connection in connections:
            connection.close()
        return sent

    async def _send(self, connections: Sequence[Connection], index: int, event_type: str, padding: int) -> None:
        body = json.dumps({"index": index, "type": event_type, "padding": "x" * padding}).encode()
        await self._post(connections, Sent(index, self.topic_id, event_type, sha256(body).hexdigest()), body)

    async def _post(self, connections: Sequence[Connection], sent: Sent, body: bytes) -> None:
        self.books.append(sent)
        headers = github_headers(body, self.secret, sent.event_type, f"{self.run}-{sent.index}")
        sent.began = time.time()
        for attempt in range(MAX_TRIES):
            connection = connections[(sent.index + attempt) % len(connections)]
            try:
                answer = await connection.request("POST", f"/api/v1/ingest/{sent.topic_id}", body, headers)
            except NoAnswerError:
                sent.unanswered += 1
            else:
                if answer.status == 202:
                    sent.event_id = answer.json()["event_id"]
                    sent.answered = time.time()
                    return
                sent.refused.append(answer.status)
                if answer.status not in {429, 500, 502, 503, 504}:
                    return
            await asyncio.sleep(RETRY_PAUSE_S)
