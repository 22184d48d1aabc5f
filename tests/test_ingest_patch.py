"""PATCH over HTTP: a merge patch on the record that is there, against the real config agent."""

import hmac
from typing import Any

import httpx
import pytest

from runtime.keyring import Keyring
from schemas.config import SubscriptionSpec
from schemas.stored import MASK, decode_record
from schemas.streams import TABLES
from tests.certificates_fixture import issue
from tests.concurrently import run_together
from tests.ingest_fixture import KEYS, Gateway, admin, gateway

__all__ = ["admin", "gateway"]

SOURCES, TOPICS, SUBSCRIPTIONS = "/api/v1/sources", "/api/v1/topics", "/api/v1/subscriptions"
STAMPS = {"version", "updated_at"}


def subscription(**fields: Any) -> dict[str, Any]:
    return {"topic_id": "t", "target_url": "http://127.0.0.1:9/hook"} | fields


def without_stamps(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    return {name: value for name, value in answer.json().items() if name not in STAMPS}


def test_a_patch_changes_what_it_names_and_nothing_else(admin: httpx.Client) -> None:
    made = admin.post(
        SUBSCRIPTIONS,
        json=subscription(
            id="patched",
            headers={"X-A": "1", "X-B": "2"},
            retry={"delays_s": [1, 2]},
            event_types=["a", "b"],
            timeout_s=20,
        ),
    ).json()
    patch = {
        "headers": {"X-A": None, "X-C": "3"},
        "retry": {"delays_s": [7]},
        "event_types": ["c"],
        "timeout_s": None,
        "subscriber_name": "Renamed",
    }
    answer = admin.patch(f"{SUBSCRIPTIONS}/patched", json=patch)
    assert answer.status_code == 200
    before = {name: value for name, value in made.items() if name not in STAMPS | {"secret", *patch}}
    assert {name: answer.json()[name] for name in before} == before
    assert answer.json()["headers"] == {"X-B": MASK, "X-C": MASK}
    assert answer.json()["retry"]["delays_s"] == [7]
    assert answer.json()["event_types"] == ["c"]
    assert answer.json()["timeout_s"] == 15
    assert answer.json()["version"] > made["version"]
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    assert admin.get(f"{SUBSCRIPTIONS}/patched").json() == answer.json()
    assert admin.patch(f"{SUBSCRIPTIONS}/patched", json={"retry": None}).json()["retry"] is None


def test_secrets_that_a_patch_masks_or_leaves_out_stay(admin: httpx.Client, gateway: Gateway) -> None:
    admin.post(SOURCES, json={"id": "locked", "auth_type": "hmac", "secret": "s1", "secrets": ["s2"]})
    admin.post(TOPICS, json={"id": "locked", "source_id": "locked"})

    def secrets_that_verify() -> list[str]:
        found = []
        for secret in ("s1", "s2", "s3"):
            headers = {"X-Webhook-Signature": hmac.digest(secret.encode(), b"{}", "sha256").hex()}
            answer = httpx.post(f"{gateway.url}/api/v1/ingest/locked", content=b"{}", headers=headers)
            found += [secret] if answer.status_code == 202 else []
        return found

    def patched(**fields: Any) -> int:
        return admin.patch(f"{SOURCES}/locked", json=fields).status_code

    assert patched(name="Locked") == 200
    assert secrets_that_verify() == ["s1", "s2"]
    read = admin.get(f"{SOURCES}/locked").json()
    assert patched(**read) == 200  # what was read can be sent back
    assert secrets_that_verify() == ["s1", "s2"]
    assert patched(secret=MASK, secrets=[MASK, "s3"]) == 200
    assert secrets_that_verify() == ["s1", "s2", "s3"]
    assert patched(secret=None, secrets=["s3"]) == 200
    assert secrets_that_verify() == ["s3"]
    assert patched(secrets=None) == 422  # hmac needs one
    assert patched(secret=MASK) == 422  # there is none that it could stand for
    assert patched(auth_type="none") == 422  # a secret that is never checked
    assert patched(auth_type="none", secrets=None) == 200


def test_a_secret_does_not_come_along_when_its_source_is_verified_in_another_way(admin: httpx.Client) -> None:
    admin.post(SOURCES, json={"id": "signs", "auth_type": "github", "secret": "a-key-that-signs"})
    token: dict[str, Any] = {"auth_type": "token", "auth_config": {"header": "X-Token"}}
    for secret in ({}, {"secret": MASK}, {"secrets": [MASK]}):
        answer = admin.patch(f"{SOURCES}/signs", json=token | secret)
        assert answer.status_code == 422, answer.text
        assert "auth_type" in answer.text
    assert admin.put(f"{SOURCES}/signs", json=token | {"secret": MASK}).status_code == 422
    assert admin.patch(f"{SOURCES}/signs", json=token | {"secret": "another"}).status_code == 200


def test_header_values_and_keys_that_a_patch_masks_or_leaves_out_stay(admin: httpx.Client, gateway: Gateway) -> None:
    client = issue("hooklog")
    tls = {"client_cert_pem": client.pem, "client_key_pem": client.key_pem}
    target = "https://billing.example.com/hook"
    made = subscription(id="dressed", target_url=target, headers={"X-A": "1", "X-B": "2"}, tls=tls)
    assert admin.post(SUBSCRIPTIONS, json=made).json()["tls"]["client_key_pem"] == MASK

    def patched(**fields: Any) -> tuple[int, dict[str, str], str | None]:
        status = admin.patch(f"{SUBSCRIPTIONS}/dressed", json=fields).status_code
        (record,) = [
            decode_record("subscriptions", one.value, Keyring.parse(KEYS).opened)
            for one in gateway.records(TABLES["subscriptions"])[-1:]
        ]
        assert isinstance(record.spec, SubscriptionSpec)
        return status, record.spec.headers, record.spec.tls.client_key_pem if record.spec.tls else None

    assert patched(headers={"X-A": MASK, "X-C": "3"}) == (200, {"X-A": "1", "X-B": "2", "X-C": "3"}, client.key_pem)
    assert patched(headers={"X-C": None}, tls={"server_name": "b.internal"})[0] == 200
    read = admin.get(f"{SUBSCRIPTIONS}/dressed").json()
    assert patched(**read) == (200, {"X-A": "1", "X-B": "2"}, client.key_pem)  # what was read can be sent back
    answer = admin.patch(f"{SUBSCRIPTIONS}/dressed", json={"headers": {"X-New": MASK}})
    assert [error["field"] for error in answer.json()["errors"]] == ["headers.X-New"]
    assert admin.put(f"{SUBSCRIPTIONS}/dressed", json=read | {"headers": {"X-B": MASK}}).status_code == 200
    assert patched() == (200, {"X-B": "2"}, client.key_pem)
    assert patched(tls=None) == (200, {"X-B": "2"}, None)


def test_a_patch_of_nothing_leaves_the_record_as_it_is(admin: httpx.Client) -> None:
    before = without_stamps(admin.put(f"{TOPICS}/same", json={"source_id": "s", "event_type": {"pointer": "/t"}}))
    assert without_stamps(admin.patch(f"{TOPICS}/same", json={})) == before


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "Application/JSON; charset=utf-8"])
def test_a_patch_of_the_right_type_is_taken(admin: httpx.Client, content_type: str) -> None:
    admin.put(f"{TOPICS}/typed", json={"source_id": "s"})
    answer = admin.patch(f"{TOPICS}/typed", content=b'{"name":"T"}', headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["name"]) == (200, "T")


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json-patch+json"}])
def test_a_patch_of_another_type_is_refused_and_told_what_is_taken(
    admin: httpx.Client, headers: dict[str, str]
) -> None:
    admin.put(f"{TOPICS}/typed", json={"source_id": "s"})
    answer = admin.patch(f"{TOPICS}/typed", content=b'{"name":"No"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["accept-patch"] == "application/merge-patch+json, application/json"
    assert admin.get(f"{TOPICS}/typed").json()["name"] != "No"


def test_a_patch_that_makes_the_record_wrong_names_every_field(admin: httpx.Client) -> None:
    admin.put(f"{SUBSCRIPTIONS}/valid", json=subscription())
    answer = admin.patch(
        f"{SUBSCRIPTIONS}/valid",
        json={"id": None, "target_url": "x"},
    )
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["id"]
    answer = admin.patch(
        f"{SUBSCRIPTIONS}/valid",
        json={"topic_id": None, "target_url": "x", "headers": {"Host": "x"}, "retry": {"delays_s": [0]}, "colour": 1},
    )
    assert answer.status_code == 422
    fields = sorted(error["field"] for error in answer.json()["errors"])
    assert fields == ["colour", "headers", "retry.delays_s.0", "target_url", "topic_id"]


def test_a_patch_holds_for_the_version_that_it_names(admin: httpx.Client) -> None:
    old = admin.put(f"{TOPICS}/versioned", json={"source_id": "s"}).headers["etag"]
    new = admin.patch(f"{TOPICS}/versioned", json={"name": "1"}, headers={"If-Match": old}).headers["etag"]
    late = admin.patch(f"{TOPICS}/versioned", json={"name": "2"}, headers={"If-Match": old})
    assert (late.status_code, late.json()["code"]) == (412, "version_changed")
    assert admin.patch(f"{TOPICS}/versioned", json={"name": "3"}, headers={"If-Match": new}).json()["name"] == "3"
    assert admin.patch(f"{TOPICS}/versioned", json={}, headers={"If-Match": "17"}).status_code == 400
    assert admin.patch(f"{TOPICS}/no-such", json={}).status_code == 404


def test_patches_at_the_same_time_all_take_effect(admin: httpx.Client, gateway: Gateway) -> None:
    admin.put(f"{SUBSCRIPTIONS}/busy", json=subscription())

    def patch(number: int) -> int:
        with gateway.admin as client:
            return client.patch(f"{SUBSCRIPTIONS}/busy", json={"headers": {f"X-{number}": "1"}}).status_code

    assert run_together(patch, 3) == [200, 200, 200]
    assert set(admin.get(f"{SUBSCRIPTIONS}/busy").json()["headers"]) == {"X-0", "X-1", "X-2"}


def test_a_document_without_end_is_malformed(admin: httpx.Client) -> None:
    admin.put(f"{SOURCES}/deep", json={"auth_type": "none"})
    deep = b'{"auth_config":' * 70 + b"1" + b"}" * 70
    headers = {"Content-Type": "application/json"}
    assert admin.patch(f"{SOURCES}/deep", content=deep, headers=headers).status_code == 400
    assert admin.put(f"{SOURCES}/deep", content=deep).status_code == 400


def test_header_values_follow_a_target_url_to_another_host_only_when_they_are_given_again(admin: httpx.Client) -> None:
    one = f"{SUBSCRIPTIONS}/moving"
    made = admin.post(SUBSCRIPTIONS, json=subscription(id="moving", headers={"X-Token": "t1", "X-Team": "a"})).json()
    moved = {"target_url": "http://127.0.0.1:10/hook"}
    for refused in (
        admin.patch(one, json=moved),
        admin.patch(one, json=moved | {"headers": {"X-Team": "b"}}),
        admin.put(one, json=subscription(headers={"X-Token": MASK}) | moved),
        admin.post(f"{one}/check", json=subscription(headers={"X-Token": MASK}) | moved),
    ):
        assert refused.status_code == 422
        assert "headers.X-Token" in {error["field"] for error in refused.json()["errors"]}
        assert "give it again" in refused.text
    assert admin.get(one).json()["version"] == made["version"]
    assert admin.patch(one, json={"target_url": "http://127.0.0.1:9/elsewhere"}).json()["headers"]["X-Token"] == MASK
    assert admin.patch(one, json=moved | {"headers": {"X-Team": None, "X-Token": "t2"}}).status_code == 200
    assert admin.patch(one, json={"target_url": "http://127.0.0.1:11/", "headers": None}).status_code == 200
