"""When Kafka does not answer, ingest takes in what it can hold, and tells the rest at once to come again."""

import asyncio
import os
import signal
from collections import Counter

import httpx
import orjson

from ingest.waiting import MAX_WAITING_REQUESTS
from schemas.streams import EVENTS
from tests.ingest_fixture import DEADLINE_S, Gateway, gateway, wait_until

__all__ = ["gateway"]

TOO_MANY = 200
REQUEST = b"POST /api/v1/ingest/t HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 7\r\n\r\nfrozen!"


async def post(port: int, answered: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nretry-after: 5" in head.lower() or b" 202 " in head
    answered.append(f"{head[9:12].decode()} {orjson.loads(body).get('code')}")


async def flood(gateway: Gateway) -> tuple[list[str], list[str]]:
    """What was answered while Kafka stood still and the first were waiting, and at last."""
    answered: list[str] = []
    url = f"{gateway.url}/metrics"
    async with asyncio.TaskGroup() as senders, httpx.AsyncClient(timeout=DEADLINE_S) as looker:
        for _ in range(MAX_WAITING_REQUESTS + TOO_MANY):
            senders.create_task(post(gateway.settings.ingest_port, answered))
        while len(answered) < TOO_MANY:
            await asyncio.sleep(0.02)
        early = list(answered)
        assert f"hooklog_ingest_waiting_events {MAX_WAITING_REQUESTS}.0" in (await looker.get(url)).text
        assert (await looker.get(f"{gateway.url}/health")).status_code == 200
    return early, answered


def test_no_more_events_wait_for_kafka_than_may_and_none_is_acknowledged(gateway: Gateway) -> None:
    with gateway.admin as admin:
        assert admin.put("/api/v1/sources/s", json={"auth_type": "none"}).status_code == 201
        assert admin.put("/api/v1/topics/t", json={"source_id": "s"}).status_code == 201
    assert httpx.post(f"{gateway.url}/api/v1/ingest/t", content=b"before").status_code == 202
    assert gateway.kafka.pid is not None
    os.kill(gateway.kafka.pid, signal.SIGSTOP)
    try:
        early, answered = asyncio.run(flood(gateway))
    finally:
        os.kill(gateway.kafka.pid, signal.SIGCONT)
    assert Counter(early) == {"503 overloaded": TOO_MANY}
    assert Counter(answered) == {"503 overloaded": TOO_MANY, "503 not_stored": MAX_WAITING_REQUESTS}
    metrics = httpx.get(f"{gateway.url}/metrics").text
    assert "hooklog_ingest_waiting_events 0.0" in metrics
    assert "hooklog_ingest_held_bytes 0.0" in metrics

    def accepted() -> bool:
        return httpx.post(f"{gateway.url}/api/v1/ingest/t", content=b"after", timeout=DEADLINE_S).status_code == 202

    wait_until(accepted)
    assert b"after" in {record.value for record in gateway.records(EVENTS)}
