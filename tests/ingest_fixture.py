"""Ingest for real: uvicorn in a thread, real Kafka, and the real workers in a process."""

import asyncio
import base64
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from ingest.app import IngestService
from runtime.embedded.broker_files import free_port
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.streams import EVENTS, Stream
from tests.kafka_fixture import RunningKafka
from tests.openapi_contract import Contract

ADMIN_KEY = "an-admin-key"
KEYS = f"k1:{base64.b64encode(bytes(32)).decode()}"
DEADLINE_S = 60.0


class LoopThread:
    """A thread with an event loop that runs one coroutine."""

    def __init__(
        self,
        main: Coroutine[Any, Any, None],
        new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self._loop = new_loop()
        self._task = self._loop.create_task(main)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


class Gateway:
    """The write side of Hooklog on streams of its own."""

    def __init__(self, kafka: RunningKafka, data_dir: Path, **overrides: Any) -> None:
        self.kafka = kafka
        self.settings = Settings(
            data_dir=data_dir,
            kafka_bootstrap=kafka.bootstrap,
            kafka_prefix=kafka.new_prefix(),
            partitions=2,
            admin_key=ADMIN_KEY,
            encryption_keys=KEYS,
            ingest_port=free_port(),
            **overrides,
        )
        asyncio.run(create_streams(self.settings))

    @property
    def admin(self) -> httpx.Client:
        """A client with the admin key; every answer it gets is held to the OpenAPI document."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=DEADLINE_S,
            event_hooks={"response": [self.contract.check]},
        )

    @cached_property
    def contract(self) -> Contract:
        """The OpenAPI document of the running ingest."""
        return Contract(httpx.get(f"{self.url}/openapi.json").json())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ingest_port}"

    @contextmanager
    def ingest(self, **overrides: Any) -> Iterator[str]:
        """Runs ingest; gives its URL."""
        settings = self.settings.model_copy(update=overrides)
        service = IngestService(settings)
        thread = LoopThread(service.serve())
        url = f"http://127.0.0.1:{settings.ingest_port}"
        try:
            wait_until(lambda: answers(f"{url}/ready", 200))
            yield url
        finally:
            service.server.should_exit = True
            thread.join()

    @contextmanager
    def without_keys(self, keys: str) -> Iterator[httpx.Client]:
        """Runs another ingest, with other encryption keys; gives an admin client of it."""
        settings = self.settings.model_copy(update={"encryption_keys": keys, "ingest_port": free_port()})
        service = IngestService(settings)
        thread = LoopThread(service.serve())
        url = f"http://127.0.0.1:{settings.ingest_port}"
        try:
            wait_until(lambda: answers(f"{url}/health", 200))
            yield httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=DEADLINE_S)
        finally:
            service.server.should_exit = True
            thread.join()

    @contextmanager
    def processors(self) -> Iterator[None]:
        """Runs the workers, of which the config agent is one, in a process of their own."""
        port = free_port()
        variables = {
            "HOOKLOG_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "HOOKLOG_KAFKA_PREFIX": self.settings.kafka_prefix,
            "HOOKLOG_PARTITIONS": str(self.settings.partitions),
            "HOOKLOG_DATA_DIR": str(self.settings.data_dir),
            "HOOKLOG_ENCRYPTION_KEYS": KEYS,
            "HOOKLOG_EGRESS_ALLOW": "127.0.0.0/8",
            "HOOKLOG_PROCESSORS_PORT": str(port),
        }
        self.settings.data_dir.mkdir(exist_ok=True)
        log = (self.settings.data_dir / "processors.log").open("ab")
        program = "from processors.app import run; from runtime.settings import Settings; run(Settings())"
        child = subprocess.Popen([sys.executable, "-c", program], env=os.environ | variables, stderr=log, stdout=log)
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/ready", 200))
            yield
        finally:
            child.terminate()
            child.wait(DEADLINE_S)
            log.close()

    def records(self, stream: Stream) -> list[ConsumerRecord]:
        """Everything in a stream, read by a consumer of the test's own."""
        return asyncio.run(self._records(self.settings.kafka_prefix + stream.name))

    async def _records(self, topic: str) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            ends = await consumer.end_offsets(
                [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            )
            found: list[ConsumerRecord] = []
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
            return found
        finally:
            await consumer.stop()

    def produce(self, stream: Stream, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        """Appends a record as anybody can who may produce to the stream."""
        asyncio.run(self._produce(self.settings.kafka_prefix + stream.name, key, value, headers))

    async def _produce(self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(topic, value, key=key, headers=headers)
        finally:
            await producer.stop()

    def event(self, event_id: str) -> ConsumerRecord:
        """The record of an accepted event."""
        found = [record for record in self.records(EVENTS) if dict(record.headers)["ce_id"] == event_id.encode()]
        assert len(found) == 1
        return found[0]


def wait_until(condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> None:
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "not within the deadline"
        time.sleep(0.02)  # a poll, not a wait


def answers(url: str, status: int) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == status
    except httpx.TransportError:
        return False


@pytest.fixture
def admin(gateway: Gateway) -> Iterator[httpx.Client]:
    """The gateway's admin client."""
    with gateway.admin as client:
        yield client


@pytest.fixture(scope="module")
def gateway(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Ingest and config agent for the tests of one module."""
    if session_kafka.pid is None:
        session_kafka.start()
    running = Gateway(session_kafka, tmp_path_factory.mktemp("gateway"))
    with running.processors(), running.ingest():
        yield running
