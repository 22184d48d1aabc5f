"""The projections service for real: its own process, chDB and Kafka; and records as the other stages write them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from runtime.embedded.broker_files import free_port
from runtime.kafka import Appender
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.attempt import Attempt, AttemptStatus, encode_attempt
from schemas.delivery import Delivery, encode_delivery
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.event import Event, encode_event
from schemas.ids import delivery_id, new_id
from schemas.streams import ATTEMPTS, DELIVERIES, DISPATCHES, EVENTS, Stream, StreamNames
from tests.kafka_fixture import RunningKafka

ADMIN_KEY = "an-admin-key"
DEADLINE_S = 60.0

T = TypeVar("T")


def until(read: Callable[[], T | None], what: str) -> T:
    """What `read` gives as soon as it gives something."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := read():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {DEADLINE_S:g} s")


class Projections:
    """One projections process on streams and a data directory of its own."""

    def __init__(self, kafka: RunningKafka, data_dir: Path) -> None:
        self.settings = Settings(
            data_dir=data_dir,
            kafka_bootstrap=kafka.bootstrap,
            kafka_prefix=kafka.new_prefix(),
            query_port=free_port(),
            sql_port=free_port(),
            partitions=2,
            session_timeout_s=6,
            admin_key=ADMIN_KEY,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process, at first on streams that are there; `until_ready` waits for it."""
        if self._process is None:
            with ThreadPoolExecutor(1) as beside:  # also from within a running loop
                beside.submit(asyncio.run, create_streams(self.settings)).result(DEADLINE_S)
        chosen = {
            f"HOOKLOG_{name.upper()}": str(value) for name, value in self.settings.model_dump(exclude_none=True).items()
        }
        command = "from projections.app import run; from runtime.settings import Settings; run(Settings())"
        log = (self.settings.data_dir / "projections.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-c", command], env=os.environ | chosen, stdout=log, stderr=log
        )

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running process."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """Asks it to end, and gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def until_ready(self) -> None:
        """Returns when it says that it can do its job."""
        until(lambda: self.get("/ready")[0] == 200, "ready")

    def get(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        key: str = ADMIN_KEY,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of an answer, to a POST when there is a body; 0 when nothing listens."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.settings.query_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"} | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Rows of a query; none while nothing answers."""
        status, body = self.get("/api/v1/sql", {"query": query})
        assert status in {0, 200, 503}, body
        return [json.loads(line) for line in body.splitlines()] if status == 200 else []

    def until_count(self, table: str, count: int) -> None:
        """Returns when a table has so many rows."""
        query = f"SELECT count() AS n FROM {table} FINAL"  # noqa: S608 - the test's own table
        until(lambda: self.sql(query) == [{"n": count}], f"{count} {table}")


@pytest.fixture(scope="module")
def projections(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projections]:
    """A running service on streams of its own; a module of tests imports it."""
    service = Projections(session_kafka, tmp_path_factory.mktemp("projections"))
    service.start()
    yield service
    assert service.stop() == 0


class Stages:
    """Appends records as ingest and the processors do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix), pace_s=0.005)

    async def __aenter__(self) -> Self:
        await create_streams(self._settings)
        await self._appender.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._appender.stop()

    async def raw(self, stream: Stream, value: bytes | None, partition: int = 0) -> None:
        """Any bytes at all."""
        await self._appender.append(stream, value, key=b"k", partition=partition, timeout_s=30)

    async def event(self, event: Event) -> None:
        """An accepted request."""
        await self._appender.append(
            EVENTS, event.body, key=event.event_id.encode(), headers=encode_event(event), timeout_s=30
        )

    async def dispatch(self, dispatch: Dispatch) -> None:
        """What became of it."""
        key = dispatch.event_id.encode()
        await self._appender.append(DISPATCHES, encode_dispatch(dispatch), key=key, timeout_s=30)

    async def delivery(self, delivery: Delivery) -> None:
        """A delivery that is due."""
        key = delivery.subscription_id.encode()
        headers = encode_delivery(delivery)
        await self._appender.append(DELIVERIES, delivery.body, key=key, headers=headers, timeout_s=30)

    async def attempts(self, attempts: Iterable[Attempt]) -> None:
        """Attempts, all acknowledged at the end."""
        acks = [
            await self._appender.send(ATTEMPTS, encode_attempt(item), key=item.subscription_id.encode())
            for item in attempts
        ]
        for ack in acks:
            await ack


def make_event(**changes: Any) -> Event:
    """An event of now."""
    plain: dict[str, Any] = {
        "event_id": new_id(),
        "topic_id": "orders",
        "source_id": "shop",
        "event_type": "order.created",
        "received_ms": time.time_ns() // 1_000_000,
        "body": b'{"type":"order.created"}',
        "content_type": "application/json",
        "source_ip": "127.0.0.1",
        "request_headers": (("X-Shop", "a"), ("X-Shop", "b")),
    }
    return Event(**plain | changes)


def make_delivery(event: Event, subscription_id: str = "billing") -> Delivery:
    """The event's delivery to a subscription."""
    return Delivery(
        delivery_id=delivery_id(event.event_id, subscription_id, 7),
        event_id=event.event_id,
        subscription_id=subscription_id,
        topic_id=event.topic_id,
        source_id=event.source_id,
        event_type=event.event_type,
        generation=7,
        config_version=9,
        received_ms=event.received_ms,
        body=event.body,
    )


def make_attempt(delivery: Delivery, attempt: int, status: AttemptStatus, **changes: Any) -> Attempt:
    """One attempt of a delivery, `attempt` seconds after its event."""
    plain: dict[str, Any] = {
        "delivery_id": delivery.delivery_id,
        "event_id": delivery.event_id,
        "subscription_id": delivery.subscription_id,
        "topic_id": delivery.topic_id,
        "source_id": delivery.source_id,
        "event_type": delivery.event_type,
        "generation": delivery.generation,
        "attempt": attempt,
        "status": status,
        "received_ms": delivery.received_ms,
        "started_ms": delivery.received_ms + attempt * 1_000,
        "duration_ms": 12,
        "target_url": "http://127.0.0.1:9/hook",
    }
    return Attempt(**plain | changes)
