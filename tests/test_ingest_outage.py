"""Ingest while Kafka is away: never a 202 that is not true."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from schemas.streams import EVENTS
from tests.ingest_fixture import ADMIN_KEY, DEADLINE_S, KEYS, Gateway, answers, gateway, wait_until

__all__ = ["gateway"]


@pytest.fixture(scope="module", autouse=True)
def topic(gateway: Gateway) -> None:
    with gateway.admin as admin:
        assert admin.put("/api/v1/sources/s", json={"auth_type": "none"}).status_code == 201
        assert admin.put("/api/v1/topics/t", json={"source_id": "s"}).status_code == 201


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def post(gateway: Gateway, topic: str, body: bytes) -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", content=body, timeout=DEADLINE_S)


def accepted(gateway: Gateway, body: bytes) -> bytes:
    wait_until(lambda: post(gateway, "t", body).status_code == 202)
    return body


def stored_bodies(gateway: Gateway) -> list[bytes]:
    return [record.value or b"" for record in gateway.records(EVENTS)]


def test_while_kafka_does_not_answer_senders_are_told_to_come_again(gateway: Gateway) -> None:
    assert post(gateway, "t", b"before").status_code == 202
    with frozen(gateway.kafka.pid):
        started_s = time.monotonic()
        known = post(gateway, "t", b"during")
        assert time.monotonic() - started_s < 15
        unknown = post(gateway, "nobody-knows", b"during")
        with gateway.admin as admin:
            read, change = admin.get("/api/v1/topics/t"), admin.put("/api/v1/topics/u", json={"source_id": "s"})
        assert httpx.get(f"{gateway.url}/health").status_code == 200
    for response in (known, unknown, read, change):
        assert (response.status_code, response.headers["retry-after"]) == (503, "5"), response.text
    assert known.json()["code"] == "not_stored"
    accepted(gateway, b"after")
    assert {b"before", b"after"} <= set(stored_bodies(gateway))


def test_after_a_crash_of_kafka_events_are_accepted_again_and_all_of_them_are_there(gateway: Gateway) -> None:
    acknowledged = []
    for number in range(3):
        acknowledged.append(accepted(gateway, b"crash %d" % number))
        gateway.kafka.kill()
        gateway.kafka.start()
    acknowledged.append(accepted(gateway, b"last"))
    assert set(acknowledged) <= set(stored_bodies(gateway))


def test_without_kafka_ingest_is_alive_and_not_ready_and_a_stop_ends_it_with_status_0(gateway: Gateway) -> None:
    variables = {
        "HOOKLOG_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "HOOKLOG_INGEST_PORT": str(gateway.settings.ingest_port + 1),
        "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
        "HOOKLOG_ENCRYPTION_KEYS": KEYS,
    }
    url = f"http://127.0.0.1:{variables['HOOKLOG_INGEST_PORT']}"
    program = "from ingest.app import run; from runtime.settings import Settings; run(Settings())"
    child = subprocess.Popen([sys.executable, "-c", program], env=os.environ | variables)
    try:
        wait_until(lambda: answers(f"{url}/health", 200))
        assert httpx.get(f"{url}/ready").status_code == 503
        refused = httpx.post(f"{url}/api/v1/ingest/t", content=b"{}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        asked = httpx.get(f"{url}/api/v1/sources", headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=DEADLINE_S)
        assert (asked.status_code, asked.headers["retry-after"]) == (503, "5")
        child.terminate()
        assert child.wait(DEADLINE_S) == 0
    finally:
        child.kill()
        child.wait()
