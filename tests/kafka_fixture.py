"""A real Kafka for tests: one per session, on a free port, that a test may kill and start again on the same data.

Use the fixture `kafka`; everything on it blocks, so an async test calls `await asyncio.to_thread(kafka.kill)`.
Streams are not shared by design: give each test its own `HOOKLOG_KAFKA_PREFIX` (`kafka.new_prefix()`).
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from runtime.embedded.broker_files import free_port
from runtime.embedded.kafka import EmbeddedKafka


async def nothing_lost(place: TopicPartition, first: int, then: int) -> None:
    """For readers of streams of which nothing expires."""
    raise AssertionError(f"{place} goes on at {then} instead of {first}")


DEADLINE_S = 240.0  # a start after a kill takes 5 s; a first download of the jars half a minute


_started: list["RunningKafka"] = []  # the session's, once a test has asked for it


class RunningKafka:
    """An embedded broker driven from outside any test's event loop, so that it outlives them all."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        # Children die with the thread that forked them: this one lives until close().
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-fixture", daemon=True)
        self._thread.start()
        self.broker = EmbeddedKafka(folder, free_port())
        self._prefixes = itertools.count(1)
        self._in_use: list[str] = []

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_S)

    @property
    def bootstrap(self) -> str:
        """`host:port`, the same after every restart."""
        return self.broker.bootstrap

    @property
    def port(self) -> int:
        """The client port, the same after every restart."""
        return self.broker.port

    @property
    def pid(self) -> int | None:
        """The JVM's process id while it runs."""
        return self.broker.pid

    def new_prefix(self) -> str:
        """A stream prefix no other test of this session uses."""
        self._in_use.append(f"t{next(self._prefixes)}.")
        return self._in_use[-1]

    def forget_streams(self) -> None:
        """Deletes what was made under any prefix until now: after a kill the broker reads every log that is there."""
        if self.pid is not None and self._in_use:
            self._run(self._delete(tuple(self._in_use)))
            self._in_use.clear()

    async def _delete(self, prefixes: tuple[str, ...]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefixes)])
        finally:
            await admin.close()

    def start(self) -> None:
        """Start (again, on the same data) and wait until a client gets its metadata."""
        self._run(self.broker.start())

    def stop(self) -> None:
        """Stop cleanly (SIGTERM)."""
        self._run(self.broker.stop())

    def kill(self) -> None:
        """Kill with -9, as a crash would."""
        self._run(self.broker.kill())

    def close(self) -> None:
        """Stop everything, broker and thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()


@pytest.fixture(scope="session")
def session_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKafka]:
    """The session's broker; tests use `kafka`, which makes sure that it runs."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports every refused probe of a start
    # Paths as people have them: what Kafka's configuration, the JVM and log4j each read in their own way.
    running = RunningKafka(tmp_path_factory.mktemp("kafka") / r"dätä = of \ people")
    running.start()
    _started.append(running)
    yield running
    _started.clear()
    running.close()


@pytest.fixture(scope="module", autouse=True)
def forgotten_streams() -> Iterator[None]:
    """What the tests of a file made in the session's broker goes with them."""
    yield
    for running in _started:
        running.forget_streams()


@pytest.fixture
def kafka(session_kafka: RunningKafka) -> RunningKafka:
    """A running broker, also after a test that left it dead."""
    if session_kafka.pid is None:
        session_kafka.start()
    return session_kafka
