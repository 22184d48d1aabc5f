"""A sender's credential is stored nowhere, also when its request went astray or its source has just changed."""

import asyncio
import json
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from ingest.redact import kept_headers
from rules.request_headers import RequestHeaders
from schemas.event import decode_event
from schemas.rejection import Rejection, decode_rejection
from schemas.streams import EVENTS, INTAKE, REJECTIONS
from tests.ingest_fixture import Gateway, admin, gateway, wait_until

__all__ = ["admin", "gateway"]

SECRET = "a-secret-7d41"
RENAMES = 20
"""Ingest usually has not read the change when the sender already obeys it; twenty times, hardly ever."""


def post(gateway: Gateway, path: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{gateway.url}{path}", content=b"{}", headers=headers, timeout=30)


def rejections(gateway: Gateway, code: str) -> list[Rejection]:
    found = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
    return [rejection for rejection in found if rejection.code == code]


def test_a_secret_that_missed_its_topic_is_not_stored_in_whatever_header_it_was(gateway: Gateway) -> None:
    headers = {"X-Door": SECRET, "X-Hub-Signature-256": SECRET, "User-Agent": "Sender/1"}
    assert post(gateway, "/api/v1/ingest/mispelt", headers).status_code == 404
    assert post(gateway, "/api/webhooks/mispelt", headers).status_code == 404
    wait_until(lambda: rejections(gateway, "topic_not_found") and rejections(gateway, "source_not_found"))
    for rejection in rejections(gateway, "topic_not_found") + rejections(gateway, "source_not_found"):
        kept = dict(rejection.headers)
        assert (kept["x-door"], kept["x-hub-signature-256"]) == ("[redacted]", "[redacted]")
        assert (kept["user-agent"], kept["content-length"]) == ("Sender/1", "2")


def test_where_the_source_is_known_only_its_credentials_are_hidden() -> None:
    headers = RequestHeaders([(b"x-door", b"s"), (b"x-team", b"t"), (b"x-shopify-hmac-sha256", b"h")])
    assert kept_headers(headers, frozenset({"x-door"})) == (
        ("x-door", "[redacted]"),
        ("x-team", "t"),
        ("x-shopify-hmac-sha256", "[redacted]"),
    )


def test_a_secret_in_a_header_that_is_not_read_is_hidden_as_well() -> None:
    secret = "8-chars!"
    headers = RequestHeaders([(b"x-door", b"Bearer 8-chars!"), (b"x-team", b"8-chars"), (b"x-short", b"short")])
    assert kept_headers(headers, frozenset(), [secret, "short"]) == (
        ("x-door", "[redacted]"),
        ("x-team", "8-chars"),
        ("x-short", "short"),
    )


def test_a_refusal_does_not_hold_the_secret_that_came_in_the_wrong_header(
    admin: httpx.Client, gateway: Gateway
) -> None:
    admin.post("/api/v1/sources", json=source(0) | {"id": "astray"}).raise_for_status()
    admin.post("/api/v1/topics", json={"id": "astray", "source_id": "astray"}).raise_for_status()
    assert post(gateway, "/api/v1/ingest/astray", {"X-Gate": SECRET, "X-Team": "t"}).status_code == 403
    wait_until(lambda: rejections(gateway, "token_missing"))
    kept = dict(rejections(gateway, "token_missing")[0].headers)
    assert (kept["x-gate"], kept["x-team"]) == ("[redacted]", "t")


def test_the_header_of_a_token_may_be_renamed_while_its_sender_sends(admin: httpx.Client, gateway: Gateway) -> None:
    admin.post("/api/v1/sources", json=source(0)).raise_for_status()
    admin.post("/api/v1/topics", json={"id": "renamed", "source_id": "renamed"}).raise_for_status()
    asyncio.run(rename_and_post(gateway))
    events = [decode_event(record.value, record.headers) for record in gateway.records(EVENTS)]
    stored = [dict(event.request_headers) for event in events if event.topic_id == "renamed"]
    assert len(stored) == RENAMES
    assert {headers[name] for headers in stored for name in headers if name.startswith("x-door")} == {"[redacted]"}


async def rename_and_post(gateway: Gateway) -> None:
    stream = gateway.settings.kafka_prefix + INTAKE["sources"].name
    async with (
        AIOKafkaProducer(bootstrap_servers=gateway.settings.kafka_bootstrap) as producer,
        httpx.AsyncClient(base_url=gateway.url, timeout=30) as sender,
    ):
        for number in range(1, RENAMES + 1):
            # Past this ingest, as from another one.
            await producer.send_and_wait(stream, json.dumps(source(number)).encode(), key=b"renamed")
            headers = {f"X-Door-{number}": SECRET}
            while (await sender.post("/api/v1/ingest/renamed", content=b"{}", headers=headers)).status_code != 202:
                continue  # the config agent has not read it yet; the test's own deadline ends this


def source(number: int) -> dict[str, Any]:
    return {"id": "renamed", "auth_type": "token", "secret": SECRET, "auth_config": {"header": f"X-Door-{number}"}}
