"""Newer services on a cluster that an older `hooklog init` has prepared: they say so, and begin when it is mended."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from ingest.app import IngestService
from runtime.embedded.broker_files import free_port
from runtime.settings import Settings
from runtime.streams import _new_topic, create_streams
from schemas.streams import ALL_STREAMS, OPERATIONS, Stream, StreamNames
from tests.ingest_fixture import ADMIN_KEY, DEADLINE_S, KEYS, LoopThread, answers, wait_until
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(kafka: RunningKafka, tmp_path: Path) -> Settings:
    """Of services on streams of their own, which nobody has made."""
    return Settings(
        data_dir=tmp_path,
        kafka_bootstrap=kafka.bootstrap,
        kafka_prefix=kafka.new_prefix(),
        partitions=2,
        admin_key=ADMIN_KEY,
        encryption_keys=KEYS,
        ingest_port=free_port(),
        processors_port=free_port(),
    )


async def make(settings: Settings, streams: Iterable[Stream]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    names = StreamNames(settings.kafka_prefix)
    await admin.create_topics([_new_topic(stream, names, settings) for stream in streams])
    await admin.close()


def told(port: int) -> dict[str, Any]:
    answer = httpx.get(f"http://127.0.0.1:{port}/ready")
    assert answer.status_code == 503
    document: dict[str, Any] = answer.json()
    return document


def test_a_worker_without_one_stream_is_not_ready_says_which_and_begins_when_it_is_there(settings: Settings) -> None:
    asyncio.run(make(settings, set(ALL_STREAMS) - {OPERATIONS}))
    variables = {
        f"HOOKLOG_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set - {"admin_key"}
    }
    log = settings.data_dir / "worker.log"
    program = "from processors.app import run; from runtime.settings import Settings; run(Settings())"
    with log.open("wb") as lines:
        worker = subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | variables, stderr=lines, stdout=lines
        )
    ready = f"http://127.0.0.1:{settings.processors_port}/ready"
    try:
        wait_until(lambda: answers(ready, 503))
        document = told(settings.processors_port)
        missing = f"{settings.kafka_prefix}operations"
        assert document["checks"] == {"streams": False}
        assert document["reasons"] == [f"1 streams are not in Kafka: {missing}; hooklog init makes them"]
        assert "streams_missing" in log.read_text()
        asyncio.run(create_streams(settings))
        wait_until(lambda: answers(ready, 200))
    finally:
        worker.terminate()
        assert worker.wait(DEADLINE_S) == 0


def test_a_worker_that_waits_for_its_streams_can_be_stopped(settings: Settings) -> None:
    variables = {
        f"HOOKLOG_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set - {"admin_key"}
    }
    program = "from processors.app import run; from runtime.settings import Settings; run(Settings())"
    worker = subprocess.Popen([sys.executable, "-c", program], env=os.environ | variables)
    wait_until(lambda: answers(f"http://127.0.0.1:{settings.processors_port}/ready", 503))
    worker.terminate()
    assert worker.wait(DEADLINE_S) == 0


def test_ingest_without_streams_is_alive_not_ready_and_begins_when_they_are_there(settings: Settings) -> None:
    service = IngestService(settings)
    thread = LoopThread(service.serve())
    url = f"http://127.0.0.1:{settings.ingest_port}"
    try:
        wait_until(lambda: answers(f"{url}/health", 200))
        wait_until(lambda: "hooklog init" in httpx.get(f"{url}/ready").text)
        assert told(settings.ingest_port)["checks"]["streams"] is False
        assert httpx.post(f"{url}/api/v1/ingest/t", json={}).status_code == 503
        asyncio.run(make(settings, set(ALL_STREAMS) - {OPERATIONS}))  # which it does not need to take events in
        wait_until(lambda: answers(f"{url}/ready", 200))
    finally:
        service.server.should_exit = True
        thread.join()
