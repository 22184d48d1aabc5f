"""The least that such a pipeline costs: the same I/O with the same libraries, and none of the features.

    python -m benchmarks.bare ingest|worker|loop|projections <settings as JSON>

Three processes as Hooklog has them. Ingest verifies a signature and produces; the worker consumes, posts, and produces
a record of each attempt; projections consume both and insert into ClickHouse. One endpoint, no retries, no checks of
addresses, no config, no limits; stock aiokafka. Nobody could run it: it loses, repeats and hangs.

The loop is another worker: consume, post with the client of Hooklog's deliveries, produce.
"""

import asyncio
import base64
import contextlib
import hmac
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import httptools
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from clickhouse_connect import get_client

from processors.deliver.egress import Egress
from rules.addresses import AddressPolicy

EVENTS, ATTEMPTS = "bare.events", "bare.attempts"
IN_FLIGHT = 100
TIMEOUT_S = 10.0
INSERT_EVERY_S = 1.0

Post = Callable[[bytes, bytes], Awaitable[int]]
"""Posts an event, of an id and a body; the status of the answer."""


@dataclass(frozen=True)
class Bare:
    """What all three are told.

    Attributes:
        secret: that senders sign with.
        sink: port of the endpoint.
    """

    bootstrap: str
    port: int
    sink: int
    secret: str
    folder: str


class Ingest(asyncio.Protocol):
    """One sender's connection."""

    def __init__(self, producer: AIOKafkaProducer, secret: bytes) -> None:
        self._producer = producer
        self._secret = secret
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._body = b""
        self._signature = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if name.lower() == b"x-hub-signature-256":
            self._signature = value

    def on_body(self, piece: bytes) -> None:
        """Some of the body."""
        self._body += piece

    def on_message_complete(self) -> None:
        """Verifies, and stores."""
        expected = b"sha256=" + hmac.new(self._secret, self._body, "sha256").hexdigest().encode()
        assert hmac.compare_digest(expected, self._signature)
        self._task = asyncio.create_task(self._store(self._body))

    async def _store(self, body: bytes) -> None:
        event_id = secrets.token_hex(13)
        headers = [("id", event_id.encode()), ("at", b"%d" % time.time_ns())]
        await (await self._producer.send(EVENTS, body, key=event_id.encode(), headers=headers))
        answer = b'{"event_id":"%b","status":"QUEUED"}' % event_id.encode()
        self._transport.write(
            b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(answer), answer)
        )


class Endpoint(asyncio.Protocol):
    """One connection to the endpoint."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[int]
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def post(self, event_id: bytes, body: bytes) -> int:
        """The status of the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        moment, signature = _signed(event_id, body)
        self._transport.write(
            b"POST /ok/bare HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nwebhook-id: %b\r\n"
            b"webhook-timestamp: %b\r\nwebhook-signature: v1,%b\r\ncontent-length: %d\r\n\r\n%b"
            % (event_id, moment, signature, len(body), body)
        )
        return await self._answered

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The answer is there."""
        self._answered.set_result(self._parser.get_status_code())


def _signed(event_id: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The time, and the signature."""
    moment = b"%d" % time.time()
    return moment, base64.b64encode(hmac.digest(b"k" * 32, b"%b.%b.%b" % (event_id, moment, body), "sha256"))


def _producer(bare: Bare) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=bare.bootstrap, acks="all", enable_idempotence=True)


def _consumer(bare: Bare, group: str, *topics: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bare.bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1_000,
    )


async def ingest(bare: Bare) -> None:
    """Takes events until it is ended."""
    loop = asyncio.get_running_loop()
    async with _producer(bare) as producer:
        await loop.create_server(lambda: Ingest(producer, bare.secret.encode()), "127.0.0.1", bare.port, backlog=1_000)
        await asyncio.Event().wait()


async def worker(bare: Bare) -> None:
    """Delivers over connections of its own until it is ended."""
    connect = asyncio.get_running_loop().create_connection
    free = [(await connect(Endpoint, "127.0.0.1", bare.sink))[1] for _ in range(IN_FLIGHT)]

    async def post(event_id: bytes, body: bytes) -> int:
        endpoint = free.pop()
        status = await endpoint.post(event_id, body)
        free.append(endpoint)
        return status

    await _deliver(bare, post)


async def loop(bare: Bare) -> None:
    """Delivers with the client of Hooklog's deliveries until it is ended."""
    egress = Egress(AddressPolicy.of(["127.0.0.0/8"]), lambda: time.time_ns() // 1_000_000)
    await egress.start()
    url = f"http://127.0.0.1:{bare.sink}/ok/bare"

    async def post(event_id: bytes, body: bytes) -> int:
        moment, signature = _signed(event_id, body)
        headers = [
            ("content-type", "application/json"),
            ("webhook-id", event_id.decode()),
            ("webhook-timestamp", moment.decode()),
            ("webhook-signature", f"v1,{signature.decode()}"),
        ]
        return (await egress.post(url, headers, body, TIMEOUT_S)).answer.status_code

    await _deliver(bare, post)


async def _deliver(bare: Bare, post: Post) -> None:
    running, room = set(), asyncio.Semaphore(IN_FLIGHT)
    async with _producer(bare) as producer, _consumer(bare, "bare-worker", EVENTS) as consumer:

        async def deliver(record: Any) -> None:
            event_id, started = record.headers[0][1], time.time()
            status = await post(event_id, record.value)
            room.release()
            attempt = {"event_id": event_id.decode(), "status": status, "at": started, "took": time.time() - started}
            await (await producer.send(ATTEMPTS, msgspec.json.encode(attempt), key=record.key))

        async for record in consumer:
            await room.acquire()
            task = asyncio.create_task(deliver(record))
            running.add(task)
            task.add_done_callback(running.discard)


async def projections(bare: Bare) -> None:
    """Inserts until it is ended."""
    client = get_client(interface="chdb", path=bare.folder)
    client.command(
        "CREATE TABLE IF NOT EXISTS events (id String, at UInt64, body String CODEC(ZSTD(3)))"
        " ENGINE = MergeTree ORDER BY id"
    )
    client.command(
        "CREATE TABLE IF NOT EXISTS attempts (event_id String, status UInt16, at Float64, took Float64)"
        " ENGINE = MergeTree ORDER BY event_id"
    )
    async with _consumer(bare, "bare-projections", EVENTS, ATTEMPTS) as consumer:
        rows: dict[str, list[bytes]] = {"events": [], "attempts": []}
        due = time.monotonic()
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=250)).items():
                if tp.topic == EVENTS:
                    rows["events"] += [_event_row(record) for record in records]
                else:
                    rows["attempts"] += [record.value for record in records]
            if time.monotonic() >= due:
                await asyncio.to_thread(_insert, client, rows)
                due = time.monotonic() + INSERT_EVERY_S


def _event_row(record: Any) -> bytes:
    (_, event_id), (_, at) = record.headers
    return msgspec.json.encode({"id": event_id.decode(), "at": int(at), "body": record.value.decode()})


def _insert(client: Any, rows: dict[str, list[bytes]]) -> None:
    for table, lines in rows.items():
        if lines:
            client.raw_insert(table, insert_block=b"\n".join(lines), fmt="JSONEachRow")
            lines.clear()


ROLES = {"ingest": ingest, "worker": worker, "loop": loop, "projections": projections}


def main() -> None:
    """Runs one of the three."""
    role, settings = sys.argv[1], Bare(**json.loads(sys.argv[2]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(ROLES[role](settings))


if __name__ == "__main__":
    main()
