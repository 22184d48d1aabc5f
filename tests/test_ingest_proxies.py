"""Clients behind a proxy over HTTP: whose address is recorded, allowed and shut out."""

import hmac
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from runtime.embedded.broker_files import free_port
from schemas.rejection import decode_rejection
from schemas.streams import REJECTIONS
from tests.ingest_fixture import Gateway, gateway, wait_until

__all__ = ["gateway"]

SECRET = "a-secret-of-both-sides"
FAILURES = 5


@pytest.fixture(scope="module")
def url(gateway: Gateway) -> Iterator[str]:
    """An ingest that believes proxies on this machine, and shuts out after a few failures."""
    with gateway.admin as admin:
        for source in (
            {"id": "github", "auth_type": "github", "secret": SECRET},
            {"id": "open", "auth_type": "none"},
            {"id": "office", "auth_type": "none", "allowed_ips": ["198.51.100.0/24", "2001:db8::/32"]},
        ):
            assert admin.put(f"/api/v1/sources/{source['id']}", json=source).status_code == 201
            topic = {"source_id": source["id"]}
            assert admin.put(f"/api/v1/topics/{source['id']}", json=topic).status_code == 201
    settings = {"trusted_proxies": "127.0.0.1", "ingest_failures_per_minute": FAILURES}
    with gateway.ingest(ingest_port=free_port(), **settings) as running:
        yield running


def post(gateway: Gateway, url: str, topic: str, client: str, *, genuine: bool = False) -> httpx.Response:
    signature = hmac.digest(SECRET.encode() if genuine else b"another", b"{}", "sha256").hex()
    headers = {"x-hub-signature-256": f"sha256={signature}"} | ({"x-forwarded-for": client} if client else {})
    response = httpx.post(f"{url}/api/v1/ingest/{topic}", content=b"{}", headers=headers, timeout=60)
    gateway.contract.check(response)
    return response


def test_the_client_is_allowed_and_recorded_by_the_address_that_the_proxy_tells(gateway: Gateway, url: str) -> None:
    inside = post(gateway, url, "office", "192.0.2.9, 198.51.100.7")
    assert inside.status_code == 202
    assert dict(gateway.event(inside.json()["event_id"]).headers)["hl-source-ip"] == b"198.51.100.7"
    assert post(gateway, url, "office", "[2001:db8::1]:443").status_code == 202
    assert post(gateway, url, "office", "198.51.100.7, 192.0.2.9").json()["code"] == "address_not_allowed"
    assert post(gateway, url, "office", "nonsense").json()["code"] == "address_not_allowed"

    def recorded() -> set[str]:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        return {one.source_ip for one in every if one.code == "address_not_allowed"}

    wait_until(lambda: recorded() == {"192.0.2.9", "127.0.0.1"})


def test_without_a_trusted_proxy_the_header_is_only_a_header(gateway: Gateway, url: str) -> None:  # noqa: ARG001 - makes the source
    assert post(gateway, gateway.url, "office", "198.51.100.7").json()["code"] == "address_not_allowed"


def test_who_keeps_failing_is_shut_out_and_recorded_and_nobody_else_is(gateway: Gateway, url: str) -> None:
    forger = "203.0.113.66"
    answers = [post(gateway, url, "github" if number % 2 else "nowhere", forger) for number in range(FAILURES + 10)]
    assert Counter(answer.status_code for answer in answers) == {403: 2, 404: 3, 429: 10}
    shut = answers[-1]
    assert shut.json()["code"] == "too_many_failures"
    assert shut.headers["ratelimit-policy"] == f'"address";q={FAILURES};w=60'
    assert 1 <= int(shut.headers["retry-after"]) <= 12
    assert post(gateway, url, "github", forger, genuine=True).status_code == 429
    assert post(gateway, url, "open", forger).status_code == 429
    assert post(gateway, url, "github", "203.0.113.67", genuine=True).status_code == 202

    def recorded() -> set[str]:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        return {one.source_ip for one in every if one.code == "too_many_failures"}

    wait_until(lambda: recorded() == {forger})
    assert 'hooklog_ingest_rejections_total{code="too_many_failures"}' in httpx.get(f"{url}/metrics").text


def test_a_forger_does_not_shut_out_the_sender_that_shares_its_address(gateway: Gateway, url: str) -> None:
    shared = "203.0.113.99"
    assert post(gateway, url, "github", shared, genuine=True).status_code == 202
    assert {post(gateway, url, "github", shared).status_code for _ in range(FAILURES * 3)} == {403}
    assert post(gateway, url, "github", shared, genuine=True).status_code == 202


def test_an_open_source_proves_nothing(gateway: Gateway, url: str) -> None:
    assert post(gateway, url, "open", "203.0.113.5").status_code == 202
    assert {post(gateway, url, "github", "203.0.113.5").status_code for _ in range(FAILURES)} == {403}
    assert post(gateway, url, "open", "203.0.113.5").status_code == 429


def test_this_machine_is_never_shut_out(gateway: Gateway, url: str) -> None:
    assert {post(gateway, url, "github", "").status_code for _ in range(FAILURES * 3)} == {403}
