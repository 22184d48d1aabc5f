"""The configuration over HTTP, against the real config agent."""

import base64
import hmac
from typing import Any

import httpx
import pytest

from schemas.config import MAX_HEADER_CHARS, MAX_HEADERS
from schemas.outcome import decode_outcome
from schemas.stored import MASK
from schemas.streams import INTAKE, OUTCOMES, TABLES
from tests.certificates_fixture import DAY, issue
from tests.concurrently import run_together
from tests.ingest_fixture import Gateway, admin, gateway

__all__ = ["admin", "gateway"]

SOURCES, TOPICS, SUBSCRIPTIONS = "/api/v1/sources", "/api/v1/topics", "/api/v1/subscriptions"


def subscription(**fields: Any) -> dict[str, Any]:
    return {"topic_id": "t", "target_url": "http://127.0.0.1:9/hook"} | fields


def bad_fields(response: httpx.Response) -> list[str]:
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return sorted(error["field"] for error in response.json()["errors"])


def test_without_the_admin_key_nothing_is_told_or_changed(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.url) as stranger:
        answers = [
            stranger.get(SOURCES),
            stranger.get(f"{SOURCES}/x"),
            stranger.post(SOURCES, json={}),
            stranger.put(f"{SOURCES}/x", json={}),
            stranger.patch(f"{SOURCES}/x", json={}),
            stranger.delete(f"{SOURCES}/x"),
            stranger.get(f"{SOURCES}/x/references"),
            stranger.get(SOURCES, headers={"Authorization": "Bearer wrong"}),
        ]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].json()["code"] == "admin_key_missing"


def test_a_record_is_created_read_replaced_and_deleted(admin: httpx.Client) -> None:
    created = admin.post(TOPICS, json={"id": "life", "source_id": "s"})
    assert created.status_code == 201
    assert created.headers["location"] == f"{TOPICS}/life"
    read = admin.get(f"{TOPICS}/life")
    assert (read.status_code, read.json()) == (200, created.json())
    assert read.headers["etag"] == created.headers["etag"] == f'"{read.json()["version"]}"'
    replaced = admin.put(f"{TOPICS}/life", json={"source_id": "s", "name": "Life"})
    assert (replaced.status_code, replaced.json()["name"]) == (200, "Life")
    assert replaced.json()["version"] > read.json()["version"]
    assert replaced.json()["generation"] == read.json()["generation"]
    assert admin.delete(f"{TOPICS}/life").status_code == 204
    assert admin.get(f"{TOPICS}/life").status_code == 404
    assert admin.delete(f"{TOPICS}/life").status_code == 404
    again = admin.put(f"{TOPICS}/life", json={"source_id": "s"})
    assert again.status_code == 201
    assert again.json()["generation"] > read.json()["generation"]


def test_a_record_without_an_id_gets_one(admin: httpx.Client) -> None:
    created = admin.post(TOPICS, json={"source_id": "s"}).json()
    assert len(created["id"]) == 26
    assert admin.get(f"{TOPICS}/{created['id']}").json() == created


def test_an_id_that_is_taken_is_a_conflict(admin: httpx.Client) -> None:
    assert admin.post(TOPICS, json={"id": "taken", "source_id": "s"}).status_code == 201
    again = admin.post(TOPICS, json={"id": "taken", "source_id": "other"})
    assert (again.status_code, again.json()["code"]) == (409, "exists")
    assert admin.get(f"{TOPICS}/taken").json()["source_id"] == "s"


def test_of_many_that_create_the_same_id_one_does(gateway: Gateway) -> None:
    def create(_: int) -> int:
        with gateway.admin as client:
            return client.post(TOPICS, json={"id": "raced", "source_id": "s"}).status_code

    assert sorted(run_together(create, 8)) == [201] + [409] * 7


def test_replaces_at_the_same_time_all_take_effect_and_say_so(gateway: Gateway) -> None:
    def replace(_: int) -> int:
        with gateway.admin as client:
            return client.put(f"{TOPICS}/shared", json={"source_id": "s"}).status_code

    assert sorted(run_together(replace, 3)) == [200, 200, 201]


def test_if_match_holds_a_change_to_the_version_that_was_read(admin: httpx.Client) -> None:
    old = admin.put(f"{TOPICS}/matched", json={"source_id": "s"}).headers["etag"]
    new = admin.put(f"{TOPICS}/matched", json={"source_id": "s"}, headers={"If-Match": old}).headers["etag"]
    late = admin.put(f"{TOPICS}/matched", json={"source_id": "s"}, headers={"If-Match": old})
    assert (late.status_code, late.json()["code"]) == (412, "version_changed")
    assert admin.delete(f"{TOPICS}/matched", headers={"If-Match": old}).status_code == 412
    assert admin.put(f"{TOPICS}/matched", json={"source_id": "s"}, headers={"If-Match": "17"}).status_code == 400
    assert admin.put(f"{TOPICS}/matched", json={"source_id": "s"}, headers={"If-None-Match": "*"}).status_code == 412
    assert admin.put(f"{TOPICS}/absent", json={"source_id": "s"}, headers={"If-Match": "*"}).status_code == 412
    assert admin.delete(f"{TOPICS}/matched", headers={"If-Match": f'"1", {new}'}).status_code == 204


def test_every_bad_field_is_named(admin: httpx.Client) -> None:
    bad = {
        "id": "a b",
        "auth_type": "hmac",
        "auth_config": {"algorithm": "md5", "heder": "x"},
        "max_body_bytes": "many",
        "colour": "red",
    }
    assert bad_fields(admin.post(SOURCES, json=bad)) == [
        "auth_config.algorithm",
        "auth_config.heder",
        "colour",
        "id",
        "max_body_bytes",
        "secret",
    ]
    assert bad_fields(admin.post(SOURCES, json={"auth_type": "gihtub", "secret": "s"})) == ["auth_type"]
    assert bad_fields(admin.post(SOURCES, json={})) == ["auth_type"]
    assert bad_fields(admin.post(TOPICS, json={"dedup_id": {}, "event_type": 1})) == [
        "dedup_id",
        "event_type",
        "source_id",
    ]
    wrong = subscription(target_url="ftp://x", secret="whsec_?", headers={"webhook-id": "1"}, retry={"delays_s": [0]})
    assert bad_fields(admin.post(SUBSCRIPTIONS, json=wrong)) == ["headers", "retry.delays_s.0", "secret", "target_url"]


def test_a_value_in_an_error_is_never_shown(admin: httpx.Client) -> None:
    response = admin.post(SOURCES, json={"auth_type": "github", "secret": ["very-secret"], "x-very-secret": 1})
    assert response.status_code == 422
    assert "very-secret" not in response.text.replace("x-very-secret", "")


def test_tls_settings_that_cannot_work_are_refused_and_those_out_of_date_are_warned_of(admin: httpx.Client) -> None:
    old, target = issue("old", begins=-2 * DAY, ends=-DAY), "https://billing.example.com/"
    for tls, field in (
        ({"ca_pem": "no certificate"}, "tls.ca_pem"),
        ({"client_cert_pem": old.pem, "client_key_pem": issue("other").key_pem}, "tls.client_key_pem"),
        ({"client_cert_pem": old.pem, "client_key_pem": MASK}, "tls.client_key_pem"),
        ({"verify": False}, "tls.verify"),
    ):
        assert bad_fields(admin.post(SUBSCRIPTIONS, json=subscription(target_url=target, tls=tls))) == [field]
    plain = subscription(target_url="http://127.0.0.1:9/", tls={"ca_pem": old.pem})
    assert bad_fields(admin.post(SUBSCRIPTIONS, json=plain)) == ["tls"]
    made = admin.post(SUBSCRIPTIONS, json=plain | {"target_url": target}).json()
    warnings = [(item["field"], item["code"]) for item in made["warnings"]]
    assert ("tls.ca_pem", "certificate_expired") in warnings


def test_what_the_config_agent_refuses_is_answered_with_the_field(admin: httpx.Client) -> None:
    response = admin.post(SUBSCRIPTIONS, json=subscription(target_url="http://10.0.0.1/"))
    assert bad_fields(response) == ["target_url"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_body_that_is_no_json_object_is_malformed(admin: httpx.Client, body: bytes) -> None:
    response = admin.post(TOPICS, content=body)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_a_document_that_is_too_large_is_refused(admin: httpx.Client) -> None:
    assert admin.post(TOPICS, content=b" " * 300_000).status_code == 413


def test_a_subscription_whose_headers_are_all_full_is_taken(admin: httpx.Client) -> None:
    headers = {f"X-{number}": "h" * MAX_HEADER_CHARS for number in range(MAX_HEADERS)}
    assert admin.post(SUBSCRIPTIONS, json=subscription(headers=headers)).status_code == 201


def test_a_secret_is_shown_once_and_masked_ever_after(admin: httpx.Client) -> None:
    created = admin.post(SUBSCRIPTIONS, json=subscription(id="secretive"))
    secret = created.json()["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 24
    assert created.headers["cache-control"] == "no-store"
    assert admin.get(f"{SUBSCRIPTIONS}/secretive").json()["secret"] == MASK
    shown = next(item for item in admin.get(f"{SUBSCRIPTIONS}?limit=500").json()["data"] if item["id"] == "secretive")
    assert shown["secret"] == MASK


def test_a_subscription_that_wants_no_signature_gets_no_secret(admin: httpx.Client) -> None:
    assert admin.post(SUBSCRIPTIONS, json=subscription(signing="none")).json()["secret"] is None


def test_what_was_read_can_be_put_back_and_keeps_its_secret(admin: httpx.Client, gateway: Gateway) -> None:
    admin.post(SOURCES, json={"id": "kept", "auth_type": "hmac", "secret": "s1", "secrets": ["s2"]})
    admin.post(TOPICS, json={"id": "kept", "source_id": "kept"})

    def verified_by(secret: str) -> bool:
        headers = {"X-Webhook-Signature": hmac.digest(secret.encode(), b"{}", "sha256").hex()}
        response = httpx.post(f"{gateway.url}/api/v1/ingest/kept", content=b"{}", headers=headers)
        return response.status_code == 202

    def secrets_that_verify() -> list[str]:
        return [secret for secret in ("s1", "s2", "s3") if verified_by(secret)]

    read = admin.get(f"{SOURCES}/kept").json()
    assert (read["secret"], read["secrets"]) == (MASK, [MASK])
    assert admin.put(f"{SOURCES}/kept", json=read | {"name": "Kept"}).status_code == 200
    assert secrets_that_verify() == ["s1", "s2"]
    assert admin.put(f"{SOURCES}/kept", json={"auth_type": "hmac"}).status_code == 200
    assert secrets_that_verify() == ["s1", "s2"]
    assert (
        admin.put(f"{SOURCES}/kept", json={"auth_type": "hmac", "secret": "s3", "secrets": [MASK]}).status_code == 200
    )
    assert secrets_that_verify() == ["s2", "s3"]
    assert admin.put(f"{SOURCES}/kept", json={"auth_type": "hmac", "secret": "s1"}).status_code == 200
    assert secrets_that_verify() == ["s1"]
    assert bad_fields(admin.put(f"{SOURCES}/kept", json={"auth_type": "hmac", "secret": None})) == ["secret"]
    assert bad_fields(admin.put(f"{SOURCES}/kept", json={"auth_type": "github"})) == ["secret"]
    assert bad_fields(admin.post(SOURCES, json={"auth_type": "hmac", "secret": MASK})) == ["secret"]
    assert admin.put(f"{SOURCES}/kept", json={"auth_type": "none"}).status_code == 200


def test_secrets_never_leave_the_process_in_the_clear(admin: httpx.Client, gateway: Gateway) -> None:
    plain = "a-secret-that-must-not-be-seen"
    admin.post(SOURCES, json={"id": "sealed", "auth_type": "hmac", "secret": plain, "secrets": [f"{plain}-2"]})
    admin.put(f"{SOURCES}/sealed", json={"auth_type": "hmac"})
    generated = admin.post(SUBSCRIPTIONS, json=subscription(headers={"X-Key": f"{plain}-3"})).json()["secret"]
    records = [
        record for stream in (*INTAKE.values(), *TABLES.values(), OUTCOMES) for record in gateway.records(stream)
    ]
    stored = b"".join((record.value or b"") + repr(record.headers).encode() for record in records)
    assert b"sealed" in stored
    assert plain.encode() not in stored
    assert generated.encode() not in stored


def test_the_actor_of_a_change_is_told(admin: httpx.Client, gateway: Gateway) -> None:
    admin.post(TOPICS, json={"id": "acted", "source_id": "s"})
    outcomes = [decode_outcome(record.value) for record in gateway.records(OUTCOMES)]
    assert [outcome.actor for outcome in outcomes if outcome.id == "acted"] == ["admin"]


def test_pages_follow_the_ids_and_end(admin: httpx.Client) -> None:
    for number in range(5):
        admin.put(f"{SOURCES}/page-{number}", json={"auth_type": "none"})
    seen: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        answer = admin.get(SOURCES, params={"limit": 2, "cursor": cursor}).json()
        assert len(answer["data"]) <= 2
        seen += [item["id"] for item in answer["data"]]
        cursor, pages = answer["next_cursor"], pages + 1
    assert seen == sorted(seen)
    assert {f"page-{number}" for number in range(5)} <= set(seen)
    assert pages == -(-len(seen) // 2)
    assert admin.get(SOURCES, params={"cursor": "?"}).status_code == 400
    assert admin.get(SOURCES, params={"limit": 0}).status_code == 422
