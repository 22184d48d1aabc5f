"""An API server over HTTP: its audit events are stored, its reviews allowed at once, whatever becomes of them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Message

from ingest.app import IngestService
from ingest.body import BodyBudget, BodyReader
from rules.batch import TooManyItemsError
from rules.request_headers import RequestHeaders
from rules.verify import kubernetes
from runtime.embedded.broker_files import free_port
from runtime.problem import ProblemError
from schemas.event import decode_event
from schemas.rejection import Rejection, decode_rejection
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, LoopThread, answers, gateway, wait_until

__all__ = ["gateway"]

TOKEN = {"authorization": "Bearer a-cluster-token"}
AUDIT = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "delete"}


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as admin:
        for source in (
            {"id": "cluster", "auth_type": "kubernetes", "secret": "a-cluster-token"},
            {"id": "managed", "auth_type": "kubernetes", "auth_config": {"anonymous": True}},
            {"id": "tight", "auth_type": "kubernetes", "secret": "a-cluster-token", "max_body_bytes": 1_000},
            {"id": "open", "auth_type": "none"},
        ):
            assert admin.post("/api/v1/sources", json=source).status_code == 201
            topic = {"id": source["id"], "source_id": source["id"]}
            assert admin.post("/api/v1/topics", json=topic).status_code == 201


def review(uid: str, **more: Any) -> bytes:
    request = {"uid": uid, "operation": "CREATE", **more}
    return orjson.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})


def post(gateway: Gateway, topic: str, body: bytes, **headers: str) -> httpx.Response:
    named = {"content-type": "application/json"} | headers
    response = httpx.post(f"{gateway.url}/api/v1/ingest/{topic}?timeout=10s", content=body, headers=named, timeout=60)
    gateway.contract.check(response)
    return response


def require_allowed(response: httpx.Response, uid: str) -> None:
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": uid, "allowed": True},
    }


def stored(gateway: Gateway, body: bytes) -> Any:
    found: list[Any] = []

    def is_there() -> bool:
        found[:] = [record for record in gateway.records(EVENTS) if record.value == body]
        return bool(found)

    wait_until(is_there)
    return decode_event(found[0].value, found[0].headers)


def rejected(gateway: Gateway, uid: str) -> Rejection:
    found: list[Rejection] = []

    def is_there() -> bool:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        found[:] = [one for one in every if uid in one.body]
        return bool(found)

    wait_until(is_there)
    return found[0]


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_audit_events_are_stored_one_by_one_and_a_repeated_list_is_known(gateway: Gateway) -> None:
    items = [orjson.dumps(AUDIT | {"auditID": f"a{number}"}) for number in range(3)]
    body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + b",".join(items) + b"]}\n"
    response = post(gateway, "cluster", body, **TOKEN)
    assert response.status_code == 202
    assert [item["status"] for item in response.json()["items"]] == ["QUEUED"] * 3
    event = stored(gateway, items[1])
    assert (event.event_type, event.dedup_id) == ("audit.delete", "a1 ResponseComplete")
    assert dict(event.request_headers)["authorization"] == "[redacted]"
    again = post(gateway, "cluster", body, **TOKEN)
    assert all(item["duplicate"] for item in again.json()["items"])
    assert post(gateway, "cluster", body).json()["code"] == "token_missing"


@pytest.mark.parametrize(("topic", "headers"), [("cluster", TOKEN), ("managed", {})])
def test_a_review_is_allowed_and_becomes_an_event(gateway: Gateway, topic: str, headers: dict[str, str]) -> None:
    body = review(f"stored-{topic}")
    require_allowed(post(gateway, topic, body, **headers), f"stored-{topic}")
    event = stored(gateway, body)
    assert (event.event_type, event.dedup_id) == ("admission.create", f"stored-{topic}")


def test_a_review_that_is_refused_is_allowed_and_recorded(gateway: Gateway) -> None:
    for topic, uid, code in (
        ("cluster", "without-token", "token_missing"),
        ("nobody", "unknown-topic", "topic_not_found"),
    ):
        require_allowed(post(gateway, topic, review(uid)), uid)
        found = rejected(gateway, uid)
        assert (found.status, found.code, found.topic_id) == (200, code, topic)
    assert not [record for record in gateway.records(EVENTS) if b"without-token" in (record.value or b"")]


def test_a_review_that_is_too_large_is_allowed_and_recorded(gateway: Gateway) -> None:
    for topic, size_bytes in (("tight", 2_000), ("tight", 500_000), ("cluster", 3_000_000)):
        uid = f"large-{topic}-{size_bytes}"
        require_allowed(post(gateway, topic, review(uid, object="x" * size_bytes), **TOKEN), uid)
        assert rejected(gateway, uid).code == "too_large"


async def test_the_beginning_of_a_body_that_is_refused_can_be_looked_at_although_no_memory_is_left() -> None:
    body = review("no-memory")

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    for budget_bytes, max_bytes in ((10, 1_000_000), (1_000_000, 10)):
        reader = BodyReader(receive, RequestHeaders([]), BodyBudget(budget_bytes))
        with pytest.raises(ProblemError):
            await reader.read(max_bytes)
        assert b"no-memory" in await reader.peek(4_096)


def test_a_list_of_too_many_events_is_refused_before_one_of_them_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + b"{}," * 300_000 + b"{}]}"
    monkeypatch.setattr(kubernetes, "_item", lambda _: pytest.fail("an item was read"))
    with pytest.raises(TooManyItemsError):
        kubernetes.Kubernetes().items(body)


def test_for_other_sources_a_review_is_an_event_as_any_other(gateway: Gateway) -> None:
    assert post(gateway, "open", review("plain")).status_code == 202


def test_while_kafka_does_not_answer_reviews_are_allowed_at_once_and_recorded_when_it_is_back(gateway: Gateway) -> None:
    with frozen(gateway.kafka.pid):
        started_s = time.monotonic()
        require_allowed(post(gateway, "managed", review("during-an-outage")), "during-an-outage")
        assert time.monotonic() - started_s < 5  # the API server gives up after 10 s
        require_allowed(post(gateway, "unknown", review("nobody-knows")), "nobody-knows")
        wait_until(lambda: 'hooklog_ingest_prompt_answers_total{outcome="not_stored"}' in metrics(gateway))
    assert rejected(gateway, "nobody-knows").code == "unavailable"
    wait_until(lambda: post(gateway, "open", b"{}").status_code == 202)


def metrics(gateway: Gateway) -> str:
    return httpx.get(f"{gateway.url}/metrics").text


def test_without_kafka_from_the_start_reviews_are_allowed(gateway: Gateway) -> None:
    with unready_ingest(gateway, free_port()) as url:
        headers = {"content-type": "application/json"}
        response = httpx.post(f"{url}/api/v1/ingest/cluster", content=review("cold"), headers=headers, timeout=60)
        require_allowed(response, "cold")
        assert httpx.post(f"{url}/api/v1/ingest/cluster", content=b"{}", headers=headers).status_code == 503


@contextmanager
def unready_ingest(gateway: Gateway, port: int) -> Iterator[str]:
    settings = gateway.settings.model_copy(update={"ingest_port": port, "kafka_bootstrap": "127.0.0.1:1"})
    service = IngestService(settings)
    thread = LoopThread(service.serve())
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health", 200))
        yield f"http://127.0.0.1:{port}"
    finally:
        service.server.should_exit = True
        thread.join()
