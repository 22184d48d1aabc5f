"""A source's own limits over HTTP: from where it may be sent to, and how much."""

import hmac
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from schemas.rejection import decode_rejection
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, gateway, wait_until

__all__ = ["gateway"]

SECRET = "a-secret-of-both-sides"
HOURS = 0.001
"""Events a second: no second place comes while a test runs."""


def make(gateway: Gateway, name: str, **source: Any) -> None:
    with gateway.admin as admin:
        assert admin.put(f"/api/v1/sources/{name}", json={"auth_type": "none"} | source).status_code in {200, 201}
        assert admin.put(f"/api/v1/topics/{name}", json={"source_id": name}).status_code in {200, 201}


def post(gateway: Gateway, topic: str, body: bytes = b"{}", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", content=body, headers=named, timeout=60)
    gateway.contract.check(response)
    return response


def signed(body: bytes) -> str:
    return "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()


def test_exactly_the_burst_is_taken_from_many_at_once_and_the_rest_is_told_when_to_come(gateway: Gateway) -> None:
    make(gateway, "bursty", rate_limit={"per_second": HOURS, "burst": 7})
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda _: post(gateway, "bursty"), range(60)))
    assert Counter(answer.status_code for answer in answers) == {202: 7, 429: 53}
    taken = [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers if answer.status_code == 202]
    assert sorted(taken) == [f'"source";r={left}' for left in range(7)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["ratelimit-policy"] == '"source";q=7;w=7000'
    assert refused.headers["ratelimit"] == f'"source";r=0;t={refused.headers["retry-after"]}'
    assert 990 <= int(refused.headers["retry-after"]) <= 1_000
    stored = [record for record in gateway.records(EVENTS) if dict(record.headers)["hl-topic"] == b"bursty"]
    assert len(stored) == 7


def test_forgeries_use_up_nothing_of_a_senders_limit(gateway: Gateway) -> None:
    make(gateway, "forged", auth_type="github", secret=SECRET, rate_limit={"per_second": HOURS, "burst": 2})
    forged = {post(gateway, "forged", x_hub_signature_256=signed(b"other")).status_code for _ in range(20)}
    assert forged == {403}
    own = [post(gateway, "forged", x_hub_signature_256=signed(b"{}")).status_code for _ in range(3)]
    assert own == [202, 202, 429]


def test_a_limit_that_is_raised_or_removed_holds_from_then_on(gateway: Gateway) -> None:
    make(gateway, "raised", rate_limit={"per_second": HOURS, "burst": 1})
    assert [post(gateway, "raised").status_code for _ in range(2)] == [202, 429]
    make(gateway, "raised", rate_limit={"per_second": HOURS, "burst": 3})
    assert [post(gateway, "raised").status_code for _ in range(3)] == [202, 202, 429]
    make(gateway, "raised")
    free = post(gateway, "raised")
    assert (free.status_code, "ratelimit" in free.headers) == (202, False)


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_an_address_that_is_allowed_may_send(gateway: Gateway, allowed: str) -> None:
    make(gateway, "near", allowed_ips=["2001:db8::/32", allowed])
    assert post(gateway, "near").status_code == 202


def test_another_address_is_refused_before_its_body_is_read_and_recorded(gateway: Gateway) -> None:
    make(gateway, "far", allowed_ips=["192.0.2.0/24", "::1"], rate_limit={"per_second": HOURS, "burst": 1})
    refused = post(gateway, "far", b"x" * 2_000_000)
    assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
    assert "127.0.0.1" in refused.json()["detail"]

    def recorded() -> list[Any]:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        return [one for one in every if one.code == "address_not_allowed"]

    wait_until(recorded)
    assert [(one.source_id, one.topic_id, one.source_ip, one.body) for one in recorded()] == [
        ("far", "far", "127.0.0.1", "")
    ]
    make(gateway, "far", allowed_ips=["127.0.0.1"])
    assert post(gateway, "far").status_code == 202


@pytest.mark.parametrize("rule", ["event_type", "dedup_id"])
def test_a_topic_that_names_the_header_of_the_credential_gets_nothing_of_it(gateway: Gateway, rule: str) -> None:
    name = rule.replace("_", "-")
    make(gateway, name, auth_type="token", secret="a-token-nobody-may-see", auth_config={"header": "X-Our-Token"})
    with gateway.admin as admin:
        changed = admin.patch(f"/api/v1/topics/{name}", json={rule: {"header": "X-Our-Token"}})
        assert changed.status_code == 200, changed.text
        refused = admin.patch(f"/api/v1/sources/{name}", json={"auth_config": {"header": "Content-Type"}})
        assert refused.status_code == 422
    assert post(gateway, name, x_our_token="a-token-nobody-may-see").status_code == 202
    whole = [(record.key or b"", *(value for _, value in record.headers)) for record in gateway.records(EVENTS)]
    assert not [parts for parts in whole if b"a-token-nobody-may-see" in b" ".join(parts)]


def test_a_source_with_a_wrong_limit_is_refused_with_the_field(gateway: Gateway) -> None:
    wrong = {"auth_type": "none", "allowed_ips": ["10.0.0.1/8"], "rate_limit": {"per_second": 0}}
    with gateway.admin as admin:
        refused = admin.put("/api/v1/sources/wrong", json=wrong)
    assert refused.status_code == 422
    assert {error["field"] for error in refused.json()["errors"]} == {"allowed_ips.0", "rate_limit.per_second"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "identity, gzip", "GZIP"])
def test_a_packed_body_is_refused_unread_with_what_is_taken(gateway: Gateway, encoding: str) -> None:
    make(gateway, "packed")
    refused = post(gateway, "packed", b"\x1f\x8b" + bytes(2_000_000), content_encoding=encoding)
    assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "identity")
    lines = [("content-encoding", "identity"), ("content-encoding", encoding)]
    assert httpx.post(f"{gateway.url}/api/v1/ingest/packed", headers=lines, content=b"").status_code == 415
