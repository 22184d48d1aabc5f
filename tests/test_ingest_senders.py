"""Senders for real: what each sends goes through ingest, and what only looks like it is answered 403."""

import os
import time
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import entry_points
from typing import Any

import httpx
import pytest
from twilio.request_validator import RequestValidator

from rules.verify import registry, signed_headers
from rules.verify.plugins import GROUP, add_plugins
from schemas.event import Event, decode_event
from schemas.streams import EVENTS
from tests.ingest_fixture import Gateway
from tests.kafka_fixture import RunningKafka
from tests.plugin_fixture import install

FORM = "application/x-www-form-urlencoded"
WHSEC = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="
ANOTHER_WHSEC = "whsec_YW5vdGhlciBrZXkgb2YgdHdlbnR5IGZvdXI="

SOURCES: list[dict[str, Any]] = [
    {"id": "stripe", "auth_type": "stripe", "secrets": ["old", WHSEC]},
    {"id": "slack", "auth_type": "slack", "secret": "s"},
    {"id": "standard", "auth_type": "standard_webhooks", "secret": WHSEC, "auth_config": {"tolerance_s": 60}},
    {"id": "gitlab", "auth_type": "gitlab", "secrets": ["t0ken", WHSEC]},
    {"id": "shopify", "auth_type": "shopify", "secret": "s"},
    {"id": "basic", "auth_type": "basic", "secret": "p", "auth_config": {"username": "u"}},
    {"id": "token", "auth_type": "token", "secret": "t", "auth_config": {"header": "X-Box"}},
    {"id": "twilio", "auth_type": "twilio", "secret": "s", "auth_config": {"url": "https://hooks.example"}},
    {"id": "acme", "auth_type": "acme", "secret": "7"},
]


@pytest.fixture(scope="module")
def gateway(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Ingest and config agent where a plug-in is installed, with a topic for each source."""
    if session_kafka.pid is None:
        session_kafka.start()
    installed = str(install(tmp_path_factory.mktemp("site")))
    running = Gateway(session_kafka, tmp_path_factory.mktemp("gateway"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(installed)
        patch.setenv("PYTHONPATH", os.pathsep.join([installed, os.environ.get("PYTHONPATH", "")]))
        add_plugins(entry_points(group=GROUP))
        with running.processors(), running.ingest():
            create_sources(running)
            yield running
        registry._verifiers.pop("acme")


def create_sources(running: Gateway) -> None:
    with running.admin as admin:
        for source in SOURCES:
            answer = admin.post("/api/v1/sources", json=source)
            assert answer.status_code == 201, answer.text
            topic = {"id": source["id"], "source_id": source["id"]}
            assert admin.post("/api/v1/topics", json=topic).status_code == 201


def post(gateway: Gateway, topic: str, body: bytes, headers: dict[str, str], query: str = "") -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/v1/ingest/{topic}{query}", content=body, headers=headers, timeout=60)


def sign(topic: str, body: bytes, ago_s: float = 0, secret: str = "") -> dict[str, str]:
    source = next(source for source in SOURCES if source["id"] == topic)
    secrets = [secret] if secret else source.get("secrets", []) or [source["secret"]]
    config = source.get("auth_config", {})
    headers = signed_headers(source["auth_type"], secrets, config, body, time.time() - ago_s, "application/json")
    return dict(headers) | {"content-type": "application/json"}


def accepted(gateway: Gateway, response: httpx.Response) -> Event:
    assert response.status_code == 202, response.text
    record = gateway.event(response.json()["event_id"])
    return decode_event(record.value, record.headers)


def refused(response: httpx.Response) -> str:
    assert response.status_code == 403, response.text
    return str(response.json()["code"])


@pytest.mark.parametrize(
    ("topic", "body", "more", "identity"),
    [
        ("stripe", b'{"id":"evt_1","type":"charge.failed"}', {}, ("charge.failed", "evt_1")),
        ("slack", b'{"type":"event_callback","event":{"type":"message"},"event_id":"Ev1"}', {}, ("message", "Ev1")),
        ("shopify", b"{}", {"x-shopify-topic": "orders/paid", "x-shopify-webhook-id": "w1"}, ("orders/paid", "w1")),
        ("acme", b'{"type":"boxed"}', {"x-acme-id": "a1"}, ("boxed", "a1")),
        ("basic", b'{"type":"t"}', {"idempotency-key": "i1"}, ("t", "i1")),
        ("token", b'{"type":"t"}', {}, ("t", "")),
    ],
)
def test_a_signed_event_has_its_sender_s_type_and_id_and_is_stored_without_credentials(
    gateway: Gateway, topic: str, body: bytes, more: dict[str, str], identity: tuple[str, str]
) -> None:
    headers = sign(topic, body)
    event = accepted(gateway, post(gateway, topic, body, headers | more))
    assert (event.body, (event.event_type, event.dedup_id)) == (body, identity)
    stored = dict(event.request_headers)
    credentials = [name.lower() for name in headers if name not in {"content-type", "X-Slack-Request-Timestamp"}]
    assert credentials
    assert {stored[name] for name in credentials} == {"[redacted]"}


@pytest.mark.parametrize("topic", ["standard", "gitlab"])
def test_a_standard_webhook_has_the_id_that_is_signed(gateway: Gateway, topic: str) -> None:
    headers = sign(topic, b"{}") | {"x-gitlab-event": "Push Hook", "idempotency-key": "another"}
    event = accepted(gateway, post(gateway, topic, b"{}", headers))
    assert event.dedup_id == headers["webhook-id"]
    assert event.event_type == ("Push Hook" if topic == "gitlab" else "unknown")
    assert dict(event.request_headers)["webhook-signature"] == "[redacted]"


def test_an_older_gitlab_sends_its_token_and_an_idempotency_key(gateway: Gateway) -> None:
    headers = {"x-gitlab-token": "t0ken", "x-gitlab-event": "Push Hook", "idempotency-key": "k1"}
    event = accepted(gateway, post(gateway, "gitlab", b"{}", headers))
    assert (event.event_type, event.dedup_id) == ("Push Hook", "k1")


@pytest.mark.parametrize("topic", [source["id"] for source in SOURCES if source["id"] != "twilio"])
def test_a_request_without_credentials_or_with_others_is_refused(gateway: Gateway, topic: str) -> None:
    assert refused(post(gateway, topic, b"{}", {})).endswith(("_missing", "_mismatch"))
    assert refused(post(gateway, topic, b"{}", sign(topic, b"{}", secret=ANOTHER_WHSEC))).endswith("_mismatch")


def test_a_request_outside_its_source_s_window_is_refused(gateway: Gateway) -> None:
    assert refused(post(gateway, "stripe", b"{}", sign("stripe", b"{}", ago_s=400))) == "timestamp_too_old"
    assert refused(post(gateway, "stripe", b"{}", sign("stripe", b"{}", ago_s=-400))) == "timestamp_too_new"
    assert refused(post(gateway, "standard", b"{}", sign("standard", b"{}", ago_s=90))) == "timestamp_too_old"
    accepted(gateway, post(gateway, "stripe", b"{}", sign("stripe", b"{}", ago_s=90)))


def test_twilio_signs_the_url_that_it_sees(gateway: Gateway) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "SmsStatus": "sent", "Body": "a b"}
    body = b"MessageSid=SM1&MessageStatus=delivered&SmsStatus=sent&Body=a+b"
    url = "https://hooks.example/api/v1/ingest/twilio?tenant=%C3%BC"
    headers = {
        "x-twilio-signature": RequestValidator("s").compute_signature(url, fields),
        "content-type": FORM,
        "i-twilio-idempotency-token": "tok1",
    }
    event = accepted(gateway, post(gateway, "twilio", body, headers, "?tenant=%C3%BC"))
    assert (event.event_type, event.dedup_id, event.body) == ("delivered", "tok1", body)
    assert refused(post(gateway, "twilio", body, headers, "?tenant=u")) == "signature_mismatch"
    assert refused(post(gateway, "twilio", body, headers)) == "signature_mismatch"


def test_twilio_puts_the_hash_of_a_json_body_into_the_url(gateway: Gateway) -> None:
    body = b'{"type":"com.twilio.messaging"}'
    query = f"?bodySHA256={sha256(body).hexdigest()}"
    url = f"https://hooks.example/api/v1/ingest/twilio{query}"
    headers = {"x-twilio-signature": RequestValidator("s").compute_signature(url, {})}
    headers["content-type"] = "application/json"
    assert accepted(gateway, post(gateway, "twilio", body, headers, query)).event_type == "com.twilio.messaging"
    assert refused(post(gateway, "twilio", body + b" ", headers, query)) == "body_hash_mismatch"


def test_slack_s_question_is_answered_at_once_when_it_is_signed_and_makes_no_event(gateway: Gateway) -> None:
    before = len(gateway.records(EVENTS))
    body = b'{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}'
    answer = post(gateway, "slack", body, sign("slack", body))
    assert (answer.status_code, answer.json()) == (
        200,
        {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"},
    )
    assert refused(post(gateway, "slack", body, sign("slack", b"{}"))) == "signature_mismatch"
    assert len(gateway.records(EVENTS)) == before


def test_a_source_that_could_never_be_verified_is_refused_with_every_field(gateway: Gateway) -> None:
    with gateway.admin as admin:
        bad = {"id": "bad", "auth_type": "twilio", "auth_config": {"url": "x", "tolerance_s": 5}}
        answer = admin.post("/api/v1/sources", json=bad)
    assert answer.status_code == 422
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["auth_config.url", "auth_config.tolerance_s", "secret"]


def test_a_header_of_bytes_that_are_no_text_is_refused(gateway: Gateway) -> None:
    answer = httpx.post(
        f"{gateway.url}/api/v1/ingest/shopify",
        content=b"{}",
        headers=[(b"x-shopify-hmac-sha256", b"\xc3\xa9\xff")],
    )
    assert refused(answer) == "signature_malformed"
