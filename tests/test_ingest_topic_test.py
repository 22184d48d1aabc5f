"""A topic is tried with a sample event that takes the way of a real one."""

from typing import Any

import httpx
import orjson
import pytest

from schemas.event import decode_event
from schemas.streams import EVENTS
from tests.ingest_fixture import Gateway, admin, gateway

__all__ = ["admin", "gateway"]

SOURCES: list[dict[str, Any]] = [
    {"id": "github", "auth_type": "github", "secret": "It's a Secret to Everybody"},
    {"id": "stripe", "auth_type": "stripe", "secret": "whsec_test"},
    {"id": "twilio", "auth_type": "twilio", "secret": "s", "auth_config": {"url": "https://hooks.example/a"}},
    {"id": "pathless", "auth_type": "twilio", "secret": "s", "auth_config": {"url": "https://hooks.example"}},
    {"id": "kubernetes", "auth_type": "kubernetes", "auth_config": {"anonymous": True}},
    {"id": "open", "auth_type": "none"},
    {"id": "narrow", "auth_type": "none", "max_body_bytes": 10},
]
TYPES = {
    "github": "push",
    "stripe": "charge.succeeded",
    "twilio": "delivered",
    "kubernetes": "audit.create",
    "open": "order.created",
}


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as client:
        for source in SOURCES:
            assert client.post("/api/v1/sources", json=source).status_code == 201
            topic = {"id": source["id"], "source_id": source["id"]}
            assert client.post("/api/v1/topics", json=topic).status_code == 201


@pytest.mark.parametrize(("topic", "event_type"), TYPES.items())
def test_a_sample_is_signed_accepted_and_marked(
    gateway: Gateway, admin: httpx.Client, topic: str, event_type: str
) -> None:
    answer = admin.post(f"/api/v1/topics/{topic}/test")
    assert (answer.status_code, answer.json()["status"]) == (202, "QUEUED")
    record = gateway.event(answer.json()["event_id"])
    event = decode_event(record.value, record.headers)
    assert (event.event_type, answer.json()["event_type"]) == (event_type, event_type)
    assert (event.topic_id, event.source_id, event.source_ip) == (topic, topic, "127.0.0.1")
    assert dict(event.request_headers)["hooklog-test"] == "true"
    if topic != "twilio":
        assert orjson.loads(event.body)["hooklog_test"] is True
    if topic in {"github", "stripe"}:
        assert "[redacted]" in dict(event.request_headers).values()


def test_every_try_is_an_event_of_its_own(gateway: Gateway, admin: httpx.Client) -> None:
    ids = [admin.post("/api/v1/topics/github/test").json()["event_id"] for _ in range(2)]
    events = [decode_event(record.value, record.headers) for record in map(gateway.event, ids)]
    assert len({event.dedup_id for event in events}) == 2


def test_what_cannot_be_tried_says_why_and_makes_no_event(gateway: Gateway, admin: httpx.Client) -> None:
    before = len(gateway.records(EVENTS))
    for topic, status, code in (
        ("nobody", 404, "topic_not_found"),
        ("pathless", 422, "cannot_sign"),
        ("narrow", 413, "too_large"),
    ):
        answer = admin.post(f"/api/v1/topics/{topic}/test")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert httpx.post(f"{gateway.url}/api/v1/topics/github/test").status_code == 401
    assert len(gateway.records(EVENTS)) == before
