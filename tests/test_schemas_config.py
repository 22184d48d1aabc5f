"""What a team may say, and that everything else is refused with the name of the field."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime.keyring import Keyring, is_sealed
from schemas.config import RESERVED_HEADERS, SPECS, SourceSpec, SubscriptionSpec
from schemas.stored import (
    MASK,
    Record,
    decode_record,
    encode_record,
    map_secrets,
    masked,
    secrets_in,
    unmasked,
)
from tests.golden.cases import RECORDS
from tests.golden.codecs import seal, unseal
from tests.strategies import JSON, TEXT

KEYRING = Keyring.parse("k1:" + base64.b64encode(bytes(32)).decode())
GOOD: dict[str, dict[str, Any]] = {
    "sources": {"id": "s", "auth_type": "none"},
    "topics": {"id": "t", "source_id": "s"},
    "subscriptions": {"id": "b", "topic_id": "t", "target_url": "https://example.com/hook"},
}


def refused_field(kind: str, **changes: Any) -> str:
    """The field that the refusal of a changed good document names."""
    with pytest.raises(ValidationError) as refusal:
        SPECS[kind].model_validate(GOOD[kind] | changes)
    return ".".join(str(part) for part in refusal.value.errors()[0]["loc"])


@pytest.mark.parametrize("kind", GOOD)
def test_the_shortest_document_of_each_kind_is_taken(kind: str) -> None:
    assert SPECS[kind].model_validate(GOOD[kind]).id == GOOD[kind]["id"]


@pytest.mark.parametrize("kind", GOOD)
def test_an_unknown_field_is_refused_by_name(kind: str) -> None:
    assert refused_field(kind, fliter="event.a == 1") == "fliter"


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("bad", ["", "a" * 65, "a b", "ä", "a/b", "a\n", 7, None, ["a"]])
def test_an_id_of_another_form_is_refused(kind: str, bad: object) -> None:
    assert refused_field(kind, id=bad) == "id"


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("target_url", "ftp://example.com/"),
        ("target_url", "https://"),
        ("target_url", "https://user:pass@example.com/"),
        ("target_url", "https://example.com/#fragment"),
        ("target_url", "https://example.com/a b"),
        ("target_url", "https://example.com:99999/"),
        ("target_url", "https://[::1/"),
        ("target_url", 7),
        ("is_active", "yes"),
        ("is_active", 1),
        ("event_types", "order.*"),
        ("topic_id", "a/b"),
        ("timeout_s", 0.5),
        ("timeout_s", 61),
        ("timeout_s", True),
        ("max_in_flight", 0),
        ("max_in_flight", 201),
        ("max_in_flight", 1.5),
        ("circuit_breaker", "no"),
        ("disable_after_days", -1),
        ("disable_after_days", 31),
        ("disable_after_days", "5"),
        ("rate_limit", 10),
        ("signing", "md5"),
        ("secret", ""),
        ("secret", 7),
    ],
)
def test_a_subscription_field_of_another_form_is_refused_by_name(field: str, bad: object) -> None:
    assert refused_field("subscriptions", **{field: bad}) == field


@pytest.mark.parametrize("bad", [[0], [-1], [604_801], ["5"], [float("inf")], [float("nan")], [1] * 51, 5])
def test_a_retry_schedule_of_another_form_is_refused(bad: object) -> None:
    assert refused_field("subscriptions", retry={"delays_s": bad}).startswith("retry.delays_s")


@pytest.mark.parametrize(
    ("field", "policy"),
    [
        ("strategy", {"strategy": "linear"}),
        ("delays_s", {"strategy": "exponential", "delays_s": [1]}),
        ("base_delay_s", {"delays_s": [1], "base_delay_s": 1}),
        ("base_delay_s", {"strategy": "schedule", "base_delay_s": 1}),
        ("base_delay_s", {"base_delay_s": 0.5}),
        ("base_delay_s", {"base_delay_s": "1"}),
        ("factor", {"delays_s": [], "factor": 2}),
        ("factor", {"strategy": "schedule", "factor": 2}),
        ("factor", {"factor": 0.9}),
        ("factor", {"factor": 101}),
        ("factor", {"factor": float("nan")}),
        ("max_retries", {"max_retries": 10}),
        ("max_retries", {"delays_s": [1, 2], "max_retries": 3}),
        ("max_retries", {"delays_s": [], "max_retries": 1}),
        ("max_retries", {"base_delay_s": 1, "max_retries": 51}),
        ("max_retries", {"max_retries": -1}),
        ("max_retries", {"max_retries": 1.5}),
        ("max_retries", {"max_retries": True}),
        ("max_delay_s", {"base_delay_s": 10, "max_delay_s": 9}),
        ("max_delay_s", {"max_delay_s": 0}),
        ("max_age_s", {"max_age_s": 0}),
        ("max_age_s", {"max_age_s": 518_401}),
        ("jitter", {"jitter": 0}),
    ],
)
def test_a_retry_policy_that_contradicts_itself_is_refused_by_the_field(field: str, policy: dict[str, Any]) -> None:
    assert refused_field("subscriptions", retry=policy) == f"retry.{field}"


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("per_second", {}),
        ("per_second", {"per_second": 0}),
        ("per_second", {"per_second": -1}),
        ("per_second", {"per_second": 1_001}),
        ("per_second", {"per_second": "10"}),
        ("per_second", {"per_second": float("nan")}),
        ("burst", {"per_second": 1, "burst": 0}),
        ("burst", {"per_second": 1, "burst": 1.5}),
        ("burst", {"per_second": 1, "burst": 10_001}),
        ("per_minute", {"per_second": 1, "per_minute": 60}),
    ],
)
def test_a_rate_limit_of_another_form_is_refused_by_the_field(field: str, limit: dict[str, Any]) -> None:
    assert refused_field("subscriptions", rate_limit=limit) == f"rate_limit.{field}"


@pytest.mark.parametrize(("per_second", "burst"), [(0.5, 1), (1, 1), (2.5, 3), (20, 20)])
def test_the_burst_of_a_rate_limit_is_one_second_unless_it_is_set(per_second: float, burst: int) -> None:
    document = GOOD["subscriptions"] | {"rate_limit": {"per_second": per_second}}
    limit = SubscriptionSpec.model_validate(document).rate_limit
    assert limit is not None
    assert limit.burst_size == burst


def test_a_retry_policy_that_was_read_can_be_sent_back() -> None:
    spec = SubscriptionSpec.model_validate(GOOD["subscriptions"] | {"retry": {"max_retries": 3}})
    shown = masked(Record(spec, 1, 1, "", ""))
    assert shown["retry"]["max_retries"] == 3
    assert SubscriptionSpec.model_validate({name: shown[name] for name in spec.model_dump()}) == spec


@pytest.mark.parametrize("name", [*sorted(RESERVED_HEADERS), "Webhook-Id", "webhook-signature", "Content-Type"])
def test_a_reserved_header_is_refused_whatever_its_case(name: str) -> None:
    assert refused_field("subscriptions", headers={name.title(): "x"}).startswith("headers")


@pytest.mark.parametrize("value", ["a\r\nInjected: 1", "\0", "☃", "\x7f"])
def test_a_header_value_that_http_cannot_carry_is_refused(value: str) -> None:
    assert refused_field("subscriptions", headers={"X-Team": value}).startswith("headers")


@given(st.text())
def test_any_text_as_target_is_taken_or_refused_and_nothing_else(text: str) -> None:
    try:
        spec = SubscriptionSpec.model_validate(GOOD["subscriptions"] | {"target_url": text})
    except ValidationError:
        return
    assert spec.target_url == text


@pytest.mark.parametrize("name", RECORDS)
def test_a_masked_record_shows_no_secret(name: str) -> None:
    record = RECORDS[name]
    secrets = [text for _, text in secrets_in(record.spec.model_dump())]
    shown = masked(record)
    assert not any(secret in str(shown) for secret in secrets)
    assert shown.get("secret") in {None, MASK}


def test_a_table_record_has_no_secret_in_the_clear_and_old_ones_that_had_can_be_read() -> None:
    record = RECORDS["table_subscription"]
    value = encode_record(record, KEYRING.seal)
    secrets = dict(secrets_in(record.spec.model_dump()))
    assert set(secrets) == {"secret", "headers.Authorization", "tls.client_key_pem"}
    document = orjson.loads(value)
    assert all(is_sealed(text) for _, text in secrets_in(document))
    assert decode_record("subscriptions", value, KEYRING.opened_of_table) == record
    old = document | {"headers": {"Authorization": secrets["headers.Authorization"]}}
    assert decode_record("subscriptions", orjson.dumps(old), KEYRING.opened_of_table) == record


@given(st.dictionaries(st.sampled_from(["secret", "secrets", "headers", "tls", "name"]), JSON | TEXT))
def test_masks_that_come_back_are_the_secrets_that_were_masked(document: dict[str, Any]) -> None:
    shown = map_secrets(document, lambda _: MASK)
    assert unmasked(shown, document) == document
    assert {text for _, text in secrets_in(shown)} <= {MASK}


def test_the_secret_of_one_record_cannot_be_used_in_another() -> None:
    record = Record(SourceSpec(id="a", auth_type="github", secret="hush"), 1, 1, "", "")
    value = encode_record(record, seal)
    assert b"sealed for sources/a/secret of github: hush" in value
    assert decode_record("sources", value, unseal) == record
