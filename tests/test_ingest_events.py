"""Events in: what is accepted stands in Kafka byte for byte, what is refused is recorded and answered."""

import hmac
import os
import socket
import time
from typing import Any

import httpx
import orjson
import pytest

from runtime.embedded.broker_files import free_port
from schemas.event import Event, decode_event
from schemas.rejection import Rejection, decode_rejection
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, gateway, wait_until

__all__ = ["gateway"]

SECRET = "It's a Secret to Everybody"


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as admin:
        for source in (
            {"id": "open", "auth_type": "none"},
            {"id": "small", "auth_type": "none", "max_body_bytes": 100},
            {"id": "github", "auth_type": "github", "secret": SECRET},
        ):
            assert admin.post("/api/v1/sources", json=source).status_code == 201
            topic = {"id": source["id"], "source_id": source["id"]}
            assert admin.post("/api/v1/topics", json=topic).status_code == 201
        orders = {"id": "orders", "source_id": "open", "ordering_key": {"pointer": "/order"}}
        assert admin.post("/api/v1/topics", json=orders).status_code == 201


def post(gateway: Gateway, topic: str, body: Any = b"{}", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", content=body, headers=named, timeout=60)


def accepted(gateway: Gateway, response: httpx.Response) -> Event:
    assert response.status_code == 202, response.text
    assert response.json()["status"] == "QUEUED"
    record = gateway.event(response.json()["event_id"])
    return decode_event(record.value, record.headers)


def rejection(gateway: Gateway, code: str, topic: str) -> Rejection:
    found: list[Rejection] = []

    def is_there() -> bool:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        found[:] = [one for one in every if (one.code, one.topic_id) == (code, topic)]
        return bool(found)

    wait_until(is_there)
    return found[-1]


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{ "type" : "a" }\r\n', bytes(range(256)), b"\xff\xfe\x00", os.urandom(900_000)],
    ids=["empty", "object", "blanks", "every byte", "not utf-8", "large"],
)
def test_the_body_stands_in_kafka_byte_for_byte(gateway: Gateway, body: bytes) -> None:
    event = accepted(gateway, post(gateway, "open", body, content_type="application/x-any"))
    assert event.body == body
    assert (event.topic_id, event.source_id, event.source_ip) == ("open", "open", "127.0.0.1")
    assert event.content_type == "application/x-any"
    assert abs(event.received_ms / 1000 - time.time()) < 60


def test_a_chunked_body_is_taken_whole(gateway: Gateway) -> None:
    event = accepted(gateway, post(gateway, "open", (b"%d;" % number for number in range(1_000))))
    assert event.body == b"".join(b"%d;" % number for number in range(1_000))


def test_a_signed_github_push_is_accepted_with_its_type_and_its_id(gateway: Gateway) -> None:
    body = b'{"ref":"refs/heads/main"}'
    event = accepted(
        gateway,
        post(
            gateway,
            "github",
            body,
            x_hub_signature_256=signed(body),
            x_github_event="push",
            x_github_delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958",
        ),
    )
    assert (event.event_type, event.dedup_id) == ("push", "72d3162e-cc78-11e3-81ab-4c9367dc0958")


def test_a_tampered_github_push_is_refused_and_recorded(gateway: Gateway) -> None:
    response = post(gateway, "github", b'{"a":2}', x_hub_signature_256=signed(b'{"a":1}'), authorization="Basic x")
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "signature_mismatch"
    found = rejection(gateway, "signature_mismatch", "github")
    assert (found.status, found.source_id, found.body, found.body_bytes) == (403, "github", '{"a":2}', 7)
    headers = dict(found.headers)
    assert headers["x-hub-signature-256"] == headers["authorization"] == "[redacted]"


def test_an_unsigned_github_push_is_refused(gateway: Gateway) -> None:
    assert post(gateway, "github").json()["code"] == "signature_missing"


def test_events_of_one_ordering_key_meet_in_one_partition(gateway: Gateway) -> None:
    ids = [post(gateway, "orders", b'{"order":"o1"}').json()["event_id"] for _ in range(5)]
    records = [gateway.event(event_id) for event_id in ids]
    assert {record.key for record in records} == {b"o1"}
    assert len({record.partition for record in records}) == 1
    assert [record.offset for record in records] == sorted(record.offset for record in records)


def test_headers_are_kept_without_credentials(gateway: Gateway) -> None:
    event = accepted(
        gateway,
        post(
            gateway,
            "open",
            authorization="Bearer abc",
            cookie="a=b",
            x_api_key="abc",
            x_gitlab_token="abc",
            idempotency_key="i1",
            user_agent="Sender/1",
        ),
    )
    headers = dict(event.request_headers)
    assert [headers[name] for name in ("authorization", "cookie", "x-api-key", "x-gitlab-token")] == ["[redacted]"] * 4
    assert (headers["idempotency-key"], headers["user-agent"]) == ("i1", "Sender/1")
    assert event.dedup_id == "i1"


def test_a_valid_trace_is_kept_and_another_is_replaced(gateway: Gateway) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert accepted(gateway, post(gateway, "open", traceparent=trace)).traceparent == trace
    for bad in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "nonsense"):
        made = accepted(gateway, post(gateway, "open", traceparent=bad)).traceparent
        assert made != bad
        assert len(made) == len(trace)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(gateway: Gateway) -> None:
    response = post(gateway, "open", bytes(1_048_577))
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert rejection(gateway, "too_large", "open").status == 413


def test_a_chunked_body_over_the_cap_is_refused_and_never_cut_off(gateway: Gateway) -> None:
    before = len(gateway.records(EVENTS))
    response = post(gateway, "small", (b"x" * 60 for _ in range(2)))
    assert (response.status_code, response.json()["max_body_bytes"]) == (413, 100)
    assert accepted(gateway, post(gateway, "small", b"x" * 100)).body == b"x" * 100
    assert len(gateway.records(EVENTS)) == before + 1


def test_an_endless_body_is_cut_with_the_connection(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.settings.ingest_port)) as sender:
        sender.settimeout(20)
        sender.sendall(b"POST /api/v1/ingest/small HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            send_until_refused(sender)


def send_until_refused(sender: socket.socket) -> None:
    for _ in range(10_000):
        sender.sendall(b"10000\r\n" + bytes(65_536) + b"\r\n")


def test_an_encoded_body_is_refused(gateway: Gateway) -> None:
    response = post(gateway, "open", content_encoding="gzip")
    assert (response.status_code, response.json()["code"]) == (415, "content_encoding")
    assert rejection(gateway, "content_encoding", "open").status == 415


def test_an_unknown_topic_is_not_found(gateway: Gateway) -> None:
    response = post(gateway, "nobody")
    assert (response.status_code, response.json()["code"]) == (404, "topic_not_found")
    assert rejection(gateway, "topic_not_found", "nobody").source_id == ""
    assert post(gateway, "not%20an%20id").status_code == 404


def test_another_method_than_post_is_refused(gateway: Gateway) -> None:
    response = httpx.get(f"{gateway.url}/api/v1/ingest/open")
    assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")
    assert response.json()["code"] == "method_not_allowed"


def test_a_foreign_host_name_is_refused(gateway: Gateway) -> None:
    assert post(gateway, "open", host="rebound.example").status_code == 421


def test_a_sender_that_hangs_up_is_recorded_and_makes_no_event(gateway: Gateway) -> None:
    before = len(gateway.records(EVENTS))
    with socket.create_connection(("127.0.0.1", gateway.settings.ingest_port)) as sender:
        sender.sendall(b"POST /api/v1/ingest/open HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345")
    found = rejection(gateway, "sender_gone", "open")
    assert (found.status, found.body, found.body_bytes) == (0, "12345", 5)
    assert len(gateway.records(EVENTS)) == before


def test_a_topic_can_be_used_through_another_process_at_once(gateway: Gateway) -> None:
    with gateway.ingest(ingest_port=free_port()) as other, gateway.admin as admin, httpx.Client() as sender:
        for number in range(50):
            topic = {"id": f"new-{number}", "source_id": "open"}
            assert admin.post("/api/v1/topics", json=topic).status_code == 201
            assert sender.post(f"{other}/api/v1/ingest/new-{number}", content=b"{}").status_code == 202


def test_a_new_secret_holds_in_another_process_at_once(gateway: Gateway) -> None:
    body = b"{}"
    source, topic = {"auth_type": "github"}, {"id": "rotated", "source_id": "rotated"}
    with gateway.ingest(ingest_port=free_port()) as other, gateway.admin as admin, httpx.Client() as sender:
        admin.post("/api/v1/topics", json=topic)
        for number in range(10):
            changed = admin.put("/api/v1/sources/rotated", json=source | {"secret": f"s{number}"})
            assert changed.status_code in {200, 201}
            headers = {"X-Hub-Signature-256": signed(body, f"s{number}")}
            response = sender.post(f"{other}/api/v1/ingest/rotated", content=body, headers=headers)
            assert response.status_code == 202, response.text


def test_the_metrics_count_requests_and_rejections(gateway: Gateway) -> None:
    post(gateway, "open")
    gateway.admin.get("/api/v1/sources/nobody-s")
    metrics = httpx.get(f"{gateway.url}/metrics").text
    told = 'hooklog_http_requests_total{method="GET",route="/api/v1/sources/{record_id}",status="404"} 1.0'
    assert told in metrics
    assert 'hooklog_ingest_requests_total{status="202"}' in metrics
    assert 'hooklog_ingest_rejections_total{code="signature_missing"}' in metrics
    assert "hooklog_ingest_accept_seconds_bucket" in metrics


def test_the_openapi_document_tells_of_every_route(gateway: Gateway) -> None:
    document = orjson.loads(httpx.get(f"{gateway.url}/openapi.json").content)
    assert {"/api/v1/ingest/{topic_id}", "/api/v1/sources", "/api/v1/subscriptions/{record_id}"} <= set(
        document["paths"]
    )
    assert httpx.get(f"{gateway.url}/docs").status_code == 200
