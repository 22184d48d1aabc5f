"""What senders ask before they send, over HTTP: it is answered, recorded when it proves nobody, and makes no event."""

import base64
import hmac
import time
from typing import Any

import httpx
import orjson
import pytest

from rules.verify import signed_headers
from schemas.event import decode_event
from schemas.rejection import decode_rejection
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, gateway, wait_until

__all__ = ["gateway"]

SOURCES: list[dict[str, Any]] = [
    {"id": "meta", "auth_type": "meta", "secrets": ["app secret", "verify:meatyhamhock"]},
    {"id": "x", "auth_type": "x", "secret": "consumer secret"},
    {"id": "zoom", "auth_type": "zoom", "secrets": ["old", "new"]},
    {"id": "open", "auth_type": "none"},
]
META = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as admin:
        for source in SOURCES:
            assert admin.post("/api/v1/sources", json=source).status_code == 201
            topic = {"id": source["id"], "source_id": source["id"]}
            assert admin.post("/api/v1/topics", json=topic).status_code == 201


def ask(gateway: Gateway, method: str, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.request(method, f"{gateway.url}{path}", headers=named, timeout=60)
    if not response.is_success or response.headers.get("content-type") == "application/json":
        gateway.contract.check(response)
    return response


def post(gateway: Gateway, topic: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", content=body, headers=headers, timeout=60)


def recorded(gateway: Gateway, code: str, topic: str) -> bool:
    every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
    return any((one.code, one.topic_id) == (code, topic) for one in every)


@pytest.mark.parametrize("path", ["/api/v1/ingest/meta", "/api/webhooks/meta"])
def test_meta_gets_its_challenge_back_at_either_url(gateway: Gateway, path: str) -> None:
    response = ask(gateway, "GET", f"{path}?{META}meatyhamhock")
    assert (response.status_code, response.text) == (200, "1158201444")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["x-content-type-options"] == "nosniff"
    refused = ask(gateway, "GET", f"{path}?{META}guess")
    assert (refused.status_code, refused.json()["code"]) == (403, "token_mismatch")
    wait_until(lambda: recorded(gateway, "token_mismatch", "meta"))


def test_a_verify_token_stands_in_no_record(gateway: Gateway) -> None:
    ask(gateway, "GET", f"/api/v1/ingest/meta?{META}meatyhamhock")
    ask(gateway, "GET", f"/api/v1/ingest/meta?{META}guess")
    wait_until(lambda: recorded(gateway, "token_mismatch", "meta"))
    assert not [record for record in gateway.records(REJECTIONS) if b"meatyhamhock" in (record.value or b"")]
    with gateway.admin as admin:
        assert "meatyhamhock" not in admin.get("/api/v1/sources/meta").text


def test_a_new_verify_token_holds_at_once(gateway: Gateway) -> None:
    with gateway.admin as admin:
        secrets = ["app secret", "verify:meatyhamhock", "verify:next"]
        assert admin.patch("/api/v1/sources/meta", json={"secrets": secrets}).status_code == 200
    assert ask(gateway, "GET", f"/api/v1/ingest/meta?{META}next").status_code == 200


def test_events_of_meta_are_signed_with_the_app_secret(gateway: Gateway) -> None:
    body = b'{"object":"whatsapp_business_account","entry":[{"id":"1"}]}'
    headers = dict(signed_headers("meta", ["app secret"], {}, body, 0, "application/json"))
    response = post(gateway, "meta", body, headers)
    assert response.status_code == 202
    record = gateway.event(response.json()["event_id"])
    event = decode_event(record.value, record.headers)
    assert (event.event_type, event.body) == ("whatsapp_business_account", body)
    assert dict(event.request_headers)["x-hub-signature-256"] == "[redacted]"
    by_token = {"x-hub-signature-256": "sha256=" + hmac.digest(b"meatyhamhock", body, "sha256").hex()}
    assert post(gateway, "meta", body, by_token).json()["code"] == "signature_mismatch"


def test_x_gets_its_token_signed_and_sends_events(gateway: Gateway) -> None:
    response = ask(gateway, "GET", "/api/v1/ingest/x?crc_token=challenge_string&nonce=1")
    expected = base64.b64encode(hmac.digest(b"consumer secret", b"challenge_string", "sha256")).decode()
    assert (response.status_code, response.json()) == (200, {"response_token": f"sha256={expected}"})
    stolen = {"x-twitter-webhooks-signature": f"sha256={expected}"}
    assert post(gateway, "x", b"challenge_string", stolen).json()["code"] == "body_malformed"
    body = b'{"for_user_id":"1","tweet_create_events":[]}'
    headers = dict(signed_headers("x", ["consumer secret"], {}, body, 0, "application/json"))
    record = gateway.event(post(gateway, "x", body, headers).json()["event_id"])
    assert decode_event(record.value, record.headers).event_type == "tweet_create_events"


def test_zoom_s_question_is_answered_with_the_secret_that_signed_it(gateway: Gateway) -> None:
    before = len(gateway.records(EVENTS))
    body = b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'
    headers = dict(signed_headers("zoom", ["new"], {}, body, time.time(), "application/json"))
    response = post(gateway, "zoom", body, headers)
    encrypted = hmac.digest(b"new", b"qgg8vlvZRS6UYooatFL8Aw", "sha256").hex()
    assert (response.status_code, response.json()) == (
        200,
        {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": encrypted},
    )
    assert post(gateway, "zoom", body, {}).json()["code"] == "signature_missing"
    assert len(gateway.records(EVENTS)) == before


@pytest.mark.parametrize("path", ["/api/v1/ingest/open", "/api/webhooks/open"])
def test_a_sender_of_cloudevents_gets_leave_to_send(gateway: Gateway, path: str) -> None:
    asked = {"webhook_request_origin": "eventemitter.example.com", "webhook_request_rate": "120"}
    response = ask(gateway, "OPTIONS", path, **asked)
    assert response.status_code == 200
    assert response.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    assert response.headers["webhook-allowed-rate"] == "*"
    assert "POST" in response.headers["allow"]


def test_who_does_not_ask_or_asks_in_vain_gets_no_leave(gateway: Gateway) -> None:
    plain = ask(gateway, "OPTIONS", "/api/v1/ingest/open")
    assert (plain.status_code, plain.content) == (204, b"")
    for path, origin, status in (
        ("/api/v1/ingest/nobody", "a.example", 404),
        ("/api/webhooks/nobody", "a.example", 404),
        ("/api/v1/ingest/open", "<script>", 400),
        ("/api/v1/ingest/open", "*", 400),
    ):
        refused = ask(gateway, "OPTIONS", path, webhook_request_origin=origin)
        assert refused.status_code == status
        assert "webhook-allowed-origin" not in refused.headers


def test_a_get_that_nobody_asks_so_is_refused(gateway: Gateway) -> None:
    for topic in ("open", "zoom"):
        response = ask(gateway, "GET", f"/api/v1/ingest/{topic}?{META}x")
        assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")
    assert ask(gateway, "GET", "/api/v1/ingest/nobody").status_code == 404
    assert orjson.loads(ask(gateway, "GET", "/api/v1/ingest/x").content)["code"] == "challenge_malformed"
