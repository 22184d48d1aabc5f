"""`POST /api/webhooks/{source}`: the source's default topic, on the path that every event takes."""

import hmac
from typing import Any

import httpx
import pytest

from schemas.rejection import decode_rejection
from schemas.streams import REJECTIONS
from tests.ingest_fixture import Gateway, admin, gateway, wait_until

__all__ = ["admin", "gateway"]

SOURCES, TOPICS = "/api/v1/sources", "/api/v1/topics"


def post(
    gateway: Gateway, source_id: str, body: bytes = b"{}", headers: dict[str, str] | None = None
) -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/webhooks/{source_id}", content=body, headers=headers, timeout=30)


def topic_of(gateway: Gateway, answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    headers: dict[str, bytes] = dict(gateway.event(answer.json()["event_id"]).headers)
    return headers["hl-topic"].decode()


def source(admin: httpx.Client, source_id: str, *topics: str, **fields: Any) -> None:
    assert admin.put(f"{SOURCES}/{source_id}", json={"auth_type": "none"} | fields).is_success
    for topic_id in topics:
        assert admin.put(f"{TOPICS}/{topic_id}", json={"source_id": source_id}).is_success


def test_an_event_goes_to_the_only_topic_of_its_source(admin: httpx.Client, gateway: Gateway) -> None:
    source(admin, "single", "single-topic")
    answer = post(gateway, "single", b"\x00any bytes\xff")
    assert topic_of(gateway, answer) == "single-topic"
    assert answer.json()["task_id"] == answer.json()["event_id"]
    gateway.contract.check(answer)
    assert gateway.event(answer.json()["event_id"]).value == b"\x00any bytes\xff"


def test_the_topic_with_the_id_of_the_source_comes_before_others(admin: httpx.Client, gateway: Gateway) -> None:
    source(admin, "named", "a-topic", "named", "z-topic")
    assert topic_of(gateway, post(gateway, "named")) == "named"


def test_a_topic_of_another_source_is_never_the_default(admin: httpx.Client, gateway: Gateway) -> None:
    source(admin, "guarded", "guarded-topic", auth_type="hmac", secret="s")
    source(admin, "loose", "guarded")  # its id is that of the guarded source
    assert post(gateway, "guarded").status_code == 403
    signature = {"X-Webhook-Signature": hmac.digest(b"s", b"{}", "sha256").hex()}
    assert topic_of(gateway, post(gateway, "guarded", headers=signature)) == "guarded-topic"


def test_the_default_topic_follows_the_configuration(admin: httpx.Client, gateway: Gateway) -> None:
    source(admin, "moving")
    without = post(gateway, "moving")
    assert (without.status_code, without.json()["code"]) == (404, "no_default_topic")
    source(admin, "moving", "moving-1")
    assert topic_of(gateway, post(gateway, "moving")) == "moving-1"
    source(admin, "moving", "moving-2")
    several = post(gateway, "moving")
    assert (several.status_code, several.json()["code"]) == (409, "no_default_topic")
    assert "moving-1" not in several.text  # who asks has not been verified
    gateway.contract.check(several)
    admin.put(f"{TOPICS}/moving-1", json={"source_id": "elsewhere"})
    assert topic_of(gateway, post(gateway, "moving")) == "moving-2"
    admin.delete(f"{SOURCES}/moving")
    gone = post(gateway, "moving")
    assert (gone.status_code, gone.json()["code"]) == (404, "source_not_found")


@pytest.mark.parametrize("source_id", ["no-such", "not%20an%20id"])
def test_a_source_that_is_not_there_is_not_found(gateway: Gateway, source_id: str) -> None:
    answer = post(gateway, source_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "source_not_found")
    gateway.contract.check(answer)


def test_another_method_is_not_allowed(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/api/webhooks/single").status_code == 405


def test_the_limits_hold_and_refusals_are_recorded(admin: httpx.Client, gateway: Gateway) -> None:
    source(admin, "strict", "strict-topic", auth_type="github", secret="s", max_body_bytes=10)
    source(admin, "torn", "torn-1", "torn-2")
    assert post(gateway, "strict", b"x" * 11).status_code == 413
    assert post(gateway, "strict", headers={"X-Hub-Signature-256": "sha256=" + "0" * 64}).status_code == 403
    assert post(gateway, "torn", b"undecided").status_code == 409
    assert post(gateway, "unheard-of").status_code == 404

    def recorded() -> set[tuple[str, str, str]]:
        found = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        return {(one.source_id, one.topic_id, one.code) for one in found}

    expected = {
        ("strict", "strict-topic", "too_large"),
        ("strict", "strict-topic", "signature_mismatch"),
        ("torn", "", "no_default_topic"),
        ("", "", "source_not_found"),
    }
    wait_until(lambda: expected <= recorded())
    told = [decode_rejection(record.value).reason for record in gateway.records(REJECTIONS)]
    assert "there is no source unheard-of" in told


def test_a_path_with_one_slash_too_many_is_not_found_and_leads_nowhere_else(gateway: Gateway) -> None:
    for path in ("/api/webhooks/single/", "/api/webhooks/..%2f", "/api/v1/ingest/single/", "/api/v1/sources/"):
        answer = httpx.post(f"{gateway.url}{path}", content=b"{}", timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "location" not in answer.headers
