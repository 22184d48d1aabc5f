"""What an intake record does to the table: decided from the record and the table alone."""

import base64
import os
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.config.agent import waves
from processors.config.decide import ConfigRules, Decision
from processors.config.intake import MAX_CONFIG_BYTES, Intake
from rules.addresses import AddressPolicy
from runtime.keyring import Keyring
from schemas.config import SourceSpec, Spec, SubscriptionSpec
from schemas.outcome import OutcomeAction, OutcomeResult
from schemas.stored import MASK, Record, decode_record, encode_record, masked, with_secrets
from tests.certificates_fixture import issue

KEYRING = Keyring.parse("k1:" + base64.b64encode(os.urandom(32)).decode())
RULES = ConfigRules(KEYRING, AddressPolicy.of([]))
GOOD = {"topic_id": "t", "target_url": "https://example.com/hook"}


def intake(
    value: Any, *, key: bytes | None = b"s1", offset: int = 7, kind: str = "subscriptions", **headers: str
) -> Intake:
    raw = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
    return Intake(
        kind=kind,
        offset=offset,
        at_ms=1_800_000_000_000,
        key=key,
        value=raw,
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


def decide(record: Intake, current: Record[Spec] | None = None, last_version: int | None = None) -> Decision:
    known = current.version if current else -1
    return RULES.decide(record, current, known if last_version is None else last_version)


def existing(version: int = 3, generation: int = 2, **fields: Any) -> Record[Spec]:
    spec = SubscriptionSpec.model_validate({"id": "s1"} | GOOD | fields)
    return Record(spec=spec, version=version, generation=generation, created_at="then", updated_at="then")


def refusal(decision: Decision) -> tuple[str, str]:
    assert decision.outcome is not None
    assert decision.outcome.result is OutcomeResult.REFUSED
    assert not decision.writes
    return decision.outcome.code, decision.outcome.field


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        (b"{not json", "malformed", ""),
        (b"\xff\xfe", "malformed", ""),
        ([1, 2], "malformed", ""),
        (b'{"headers":' * 65 + b"1" + b"}" * 65, "malformed", ""),
        (GOOD | {"target_url": "http://127.0.0.1/"}, "invalid", "target_url"),
        (GOOD | {"target_url": "http://2130706433/"}, "invalid", "target_url"),
        (GOOD | {"target_url": "ftp://example.com/"}, "invalid", "target_url"),
        (GOOD | {"target_url": "https://user:pass@example.com/"}, "invalid", "target_url"),
        (GOOD | {"target_url": 5}, "invalid", "target_url"),
        (GOOD | {"is_active": "yes"}, "invalid", "is_active"),
        (GOOD | {"filters": "x"}, "invalid", "filters"),
        (GOOD | {"id": "other"}, "invalid", "id"),
        (GOOD | {"headers": {"Webhook-Id": "x"}}, "invalid", "headers"),
        (GOOD | {"headers": {"X": "a\r\nb: c"}}, "invalid", "headers"),
        (GOOD | {"secret": "whsec_short"}, "invalid", "secret"),
        (GOOD | {"secret": MASK}, "invalid", "secret"),
        (GOOD | {"secret": "hlenc:v1:k1:AAAA"}, "invalid", "secret"),
        (GOOD | {"filter": "branch =="}, "invalid", "filter"),
        (GOOD | {"filter": "branch"}, "invalid", "filter"),
        (GOOD | {"transform": "{'a': nope}"}, "invalid", "transform"),
        (GOOD | {"filter": "'" + "é" * 1_500 + "' == branch"}, "invalid", "filter"),
        (GOOD | {"format": "xml"}, "invalid", "format"),
        (GOOD | {"headers": {"X-A": MASK}}, "invalid", "headers.X-A"),
        (GOOD | {"tls": {"client_key_pem": MASK}}, "invalid", "tls.client_key_pem"),
        (GOOD | {"tls": {"ca_pem": "x"}}, "invalid", "tls.ca_pem"),
        (GOOD | {"target_url": "http://example.com/", "tls": {}}, "invalid", "tls"),
        (GOOD | {"tls": {"verify": False}}, "invalid", "tls.verify"),
        (GOOD | {"retry": {"delays_s": [0]}}, "invalid", "retry.delays_s.0"),
        ({"topic_id": "t"}, "invalid", "target_url"),
        (b"x" * (MAX_CONFIG_BYTES + 1), "too_large", ""),
        (b'{"a":' * 50_000, "malformed", ""),
    ],
)
def test_a_bad_record_is_refused_and_names_the_field(value: Any, code: str, field: str) -> None:
    assert refusal(decide(intake(value))) == (code, field)
    kept = existing()
    refused = decide(intake(value), kept).outcome
    assert refused is not None
    assert refused.version == kept.version


@pytest.mark.parametrize("key", [None, b"\xff", b"", b"a b", b"x" * 65])
def test_a_key_that_is_no_id_is_refused(key: bytes | None) -> None:
    assert refusal(decide(intake(GOOD, key=key))) == ("invalid", "key")


def test_a_filter_that_is_none_is_refused_with_line_and_column() -> None:
    outcome = decide(intake(GOOD | {"filter": "event.a == 1 &&\n  brunch == 'main'"})).outcome
    assert outcome is not None
    assert outcome.reason == "filter: line 2, column 3: undeclared reference to 'brunch'"


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"schema": {"$ref": "https://example.com/schema"}}, "event_types.order.created.schema"),
        ({"schema": {"type": "nope"}}, "event_types.order.created.schema"),
        ({"schema": {"pattern": "(a+)+\\1"}}, "event_types.order.created.schema"),
        ({"schema": {"description": "x" * 65_536}}, "event_types.order.created.schema"),
        ({"schema": {"items": {"$ref": "#"}}}, "event_types.order.created.schema"),
        ({"schema": "https://example.com/schema"}, "event_types.order.created.schema"),
        ({"schema": {}, "on_invalid": "drop"}, "event_types.order.created.on_invalid"),
        ({"schema": {}, "version": 1}, "event_types.order.created.version"),
        ({"description": "no schema"}, "event_types.order.created.schema"),
    ],
)
def test_a_topic_whose_schema_cannot_be_used_is_refused_with_its_type(declared: Any, field: str) -> None:
    topic = {"source_id": "s", "event_types": {"order.created": declared}}
    assert refusal(decide(intake(topic, kind="topics"))) == ("invalid", field)


def test_a_topic_has_a_bounded_number_of_event_types() -> None:
    topic = {"source_id": "s", "event_types": {f"t{at}": {"schema": {}} for at in range(501)}}
    assert refusal(decide(intake(topic, kind="topics"))) == ("invalid", "event_types")


def test_a_schema_is_stored_as_it_was_given_its_nulls_too() -> None:
    schema = {"properties": {"note": {"const": None, "default": None}}, "enum": [None, 1]}
    decision = decide(intake({"source_id": "s", "event_types": {"a": {"schema": schema}}}, kind="topics"))
    assert decision.record is not None
    stored = decode_record("topics", encode_record(decision.record, KEYRING.seal), KEYRING.opened)
    assert masked(stored)["event_types"]["a"] == {"schema": schema, "description": "", "on_invalid": "accept"}


def test_a_mask_is_no_secret_for_another_way_of_verifying() -> None:
    spec = SourceSpec(id="s1", auth_type="github", secret="a-key-that-signs")
    current: Record[Spec] = Record(spec=spec, version=3, generation=2, created_at="then", updated_at="then")
    asked = {"auth_type": "token", "auth_config": {"header": "X-Token"}, "secret": MASK}
    assert refusal(decide(intake(asked, kind="sources"), current)) == ("invalid", "secret")
    kept = decide(intake({"auth_type": "github", "secret": MASK}, kind="sources"), current)
    assert kept.record is not None
    assert kept.record.spec == spec


def test_a_sealed_secret_opens_for_no_other_way_of_verifying() -> None:
    sealed = KEYRING.seal("a-key-that-signs", "sources/s1/secret of github")
    asked = {"auth_type": "token", "auth_config": {"header": "X-Token"}, "secret": sealed}
    assert refusal(decide(intake(asked, kind="sources"))) == ("invalid", "secret")
    assert decide(intake({"auth_type": "github", "secret": sealed}, kind="sources")).writes


def test_an_unknown_auth_type_is_refused_and_never_means_accept() -> None:
    assert refusal(decide(intake({"auth_type": "blake"}, kind="sources"))) == ("invalid", "auth_type")


def test_a_source_whose_verification_needs_a_secret_is_refused_without_one() -> None:
    code, field = refusal(decide(intake({"auth_type": "github"}, kind="sources")))
    assert code == "invalid"
    assert field.startswith("secret")


def test_no_refusal_shows_a_secret() -> None:
    decision = decide(intake(GOOD | {"secret": "canary" + "x" * 2_000}))
    assert refusal(decision)[1] == "secret"
    assert "canary" not in str(decision)


def test_the_first_record_creates_with_its_offset_as_version_and_generation() -> None:
    decision = decide(intake(GOOD))
    assert decision.writes
    assert decision.record is not None
    assert (decision.record.version, decision.record.generation) == (7, 7)
    assert decision.outcome is not None
    assert decision.outcome.action is OutcomeAction.CREATED


def test_a_change_keeps_the_generation_and_the_time_of_creation() -> None:
    decision = decide(intake(GOOD), existing())
    assert decision.record is not None
    assert (decision.record.version, decision.record.generation, decision.record.created_at) == (7, 2, "then")


def test_a_record_made_again_after_a_delete_is_a_new_generation() -> None:
    decision = decide(intake(GOOD), None, last_version=5)
    assert decision.record is not None
    assert decision.record.generation == 7


def test_a_record_read_again_changes_nothing_and_tells_the_same() -> None:
    first = decide(intake(GOOD))
    again = decide(intake(GOOD), first.record)
    assert not again.writes
    assert again.outcome == first.outcome


def test_an_old_record_read_again_after_a_newer_one_says_nothing() -> None:
    decision = decide(intake(GOOD, offset=2), existing(version=3))
    assert decision == Decision(None)


def test_a_delete_read_again_tells_the_same() -> None:
    first = decide(intake(None), existing())
    again = decide(intake(None), None, last_version=7)
    assert first.writes
    assert not again.writes
    assert first.outcome is not None
    assert again.outcome is not None
    assert again.outcome.action is first.outcome.action is OutcomeAction.DELETED


def test_a_delete_of_nothing_is_applied_and_does_nothing() -> None:
    decision = decide(intake(None))
    assert not decision.writes
    assert decision.outcome is not None
    assert (decision.outcome.result, decision.outcome.action) == (OutcomeResult.APPLIED, OutcomeAction.NOTHING)


def test_a_change_for_another_version_is_refused() -> None:
    assert refusal(decide(intake(GOOD, hl_if_version="2"), existing(version=3)))[0] == "version_changed"
    assert refusal(decide(intake(None, hl_if_version="2"), existing(version=3)))[0] == "version_changed"
    assert refusal(decide(intake(GOOD, hl_if_version="2")))[0] == "version_changed"
    assert decide(intake(GOOD, hl_if_version="3"), existing(version=3)).writes


def test_a_creation_is_refused_when_the_id_is_taken_but_not_when_it_is_read_again() -> None:
    create = intake(GOOD, hl_if_version="-1")
    assert refusal(decide(create, existing()))[0] == "exists"
    assert decide(create).writes
    assert not decide(create, decide(create).record).writes


def test_a_version_that_is_no_number_is_refused() -> None:
    assert refusal(decide(intake(GOOD, hl_if_version="new"))) == ("invalid", "hl-if-version")


def test_a_shown_record_can_be_edited_and_produced_again_with_its_mask() -> None:
    current = existing(secret="old-secret")
    shown = {"id": "s1", **GOOD, "secret": MASK, "version": 3, "generation": 2, "created_at": "x", "updated_at": "y"}
    shown |= {"warnings": [{"field": "topic_id", "code": "dangling_reference", "message": "there is no topic t"}]}
    decision = decide(intake(shown), current)
    assert decision.record is not None
    assert isinstance(decision.record.spec, SubscriptionSpec)
    assert decision.record.spec.secret == "old-secret"


def test_masked_headers_and_keys_stand_for_those_that_are_there_and_are_told_masked() -> None:
    client = issue("hooklog")
    tls = {"client_cert_pem": client.pem, "client_key_pem": client.key_pem}
    current = existing(headers={"Authorization": "Bearer hush", "X-Team": "a"}, tls=tls)
    shown = masked(current) | {"headers": {"Authorization": MASK, "X-Team": "b"}}
    decision = decide(
        intake({"id": "s1"} | {name: shown[name] for name in ("topic_id", "target_url", "headers", "tls")}), current
    )
    assert decision.record is not None
    assert isinstance(decision.record.spec, SubscriptionSpec)
    assert decision.record.spec.headers == {"Authorization": "Bearer hush", "X-Team": "b"}
    assert decision.record.spec.tls is not None
    assert decision.record.spec.tls.client_key_pem == client.key_pem
    assert decision.outcome is not None
    assert decision.outcome.record is not None
    assert decision.outcome.record["headers"] == {"Authorization": MASK, "X-Team": MASK}
    assert decision.outcome.record["tls"]["client_key_pem"] == MASK


def test_a_header_value_sealed_for_the_record_is_opened() -> None:
    document = GOOD | {"id": "s1", "headers": {"Authorization": "Bearer hush"}}
    decision = decide(intake(with_secrets("subscriptions", document, KEYRING.seal)))
    assert decision.record is not None
    assert isinstance(decision.record.spec, SubscriptionSpec)
    assert decision.record.spec.headers == {"Authorization": "Bearer hush"}


def test_a_secret_sealed_for_the_record_is_opened_and_one_sealed_for_another_is_refused() -> None:
    sealed = KEYRING.seal("the secret", "subscriptions/s1/secret")
    decision = decide(intake(GOOD | {"secret": sealed}))
    assert decision.record is not None
    assert isinstance(decision.record.spec, SubscriptionSpec)
    assert decision.record.spec.secret == "the secret"
    assert refusal(decide(intake(GOOD | {"secret": sealed}, key=b"s2"))) == ("invalid", "secret")


SENT: dict[str, Any] = {"headers": {"Authorization": "Bearer hush"}, "secret": "the secret"}
ELSEWHERE = {"target_url": "https://evil.example/hook"}


@pytest.mark.parametrize(
    "moved",
    [
        lambda sealed: {"headers": {"X-Mine": sealed["secret"]}},
        lambda sealed: {"headers": {"X-Mine": sealed["headers"]["Authorization"]}},
        lambda sealed: {"secret": sealed["headers"]["Authorization"]},
        lambda sealed: {"headers": sealed["headers"]} | ELSEWHERE,
        lambda sealed: {"headers": sealed["headers"], "target_url": "http://example.com/hook"},
        lambda sealed: {"headers": sealed["headers"], "target_url": "https://example.com:8443/hook"},
    ],
)
def test_what_is_sealed_in_the_log_opens_in_no_other_field_and_for_no_other_origin(
    moved: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    sealed = with_secrets("subscriptions", GOOD | SENT | {"id": "s1"}, KEYRING.seal)
    assert decide(intake(sealed)).writes
    assert decide(intake(sealed | {"target_url": "https://EXAMPLE.com:443/other"})).writes
    wrong = moved(sealed)
    field = "headers" if "headers" in wrong else "secret"
    assert refusal(decide(intake(GOOD | wrong), existing(**SENT))) == ("invalid", field)


def test_masked_headers_and_keys_do_not_follow_a_target_url_to_another_origin_but_the_signing_secret_does() -> None:
    client = issue("hooklog")
    tls = {"client_cert_pem": client.pem, "client_key_pem": client.key_pem}
    current = existing(tls=tls, **SENT)
    shown = {name: value for name, value in masked(current).items() if name not in {"tls", "headers"}}
    assert decide(intake(shown | ELSEWHERE), current).writes
    for field, value in (("headers", {"Authorization": MASK}), ("tls", tls | {"client_key_pem": MASK})):
        assert refusal(decide(intake(shown | ELSEWHERE | {field: value}), current))[1].startswith(f"{field}.")
        assert decide(intake(shown | {field: value, "target_url": "https://example.com/other?x=1"}), current).writes
    assert decide(intake(shown | ELSEWHERE | {"headers": {"Authorization": "Bearer theirs"}}), current).writes


@given(st.binary(max_size=200) | st.none(), st.binary(max_size=70) | st.none(), st.sampled_from(["sources", "topics"]))
def test_whatever_is_produced_leads_to_an_outcome(value: bytes | None, key: bytes | None, kind: str) -> None:
    assert decide(intake(value, key=key, kind=kind)).outcome is not None


@given(st.lists(st.sampled_from([b"a", b"b", b"c"])))
def test_in_a_wave_no_id_comes_twice_and_their_order_is_kept(keys: list[bytes]) -> None:
    intakes = [intake(GOOD, key=key, offset=offset) for offset, key in enumerate(keys)]
    cut = waves(intakes)
    assert [record for wave in cut for record in wave] == intakes
    assert all(len({record.key for record in wave}) == len(wave) for wave in cut)


@pytest.mark.parametrize("kind", ["sources", "topics", "subscriptions"])
def test_an_id_of_hooklogs_own_is_refused_and_what_has_one_from_before_can_be_ended(kind: str) -> None:
    own = b"hooklog.operations"
    values = {"sources": {"auth_type": "none"}, "topics": {"source_id": "s"}, "subscriptions": GOOD}
    assert refusal(decide(intake(values[kind], key=own, kind=kind))) == ("invalid", "id")
    near = decide(intake(values[kind], key=b"hooklog", kind=kind)).outcome
    assert near is not None
    assert near.result is OutcomeResult.APPLIED
    assert decide(intake(None, key=own), existing(id="hooklog.operations")).writes
    ended = decide(intake(GOOD | {"is_active": False}, key=own), existing(id="hooklog.operations"))
    assert ended.writes


def test_a_subscription_may_name_the_operations() -> None:
    assert decide(intake(GOOD | {"topic_id": "hooklog.operations"})).writes


def test_a_refusal_leaves_the_record_that_is_there_and_names_it() -> None:
    there = existing(topic_id="hooklog.operations")
    decision = decide(intake(GOOD | {"target_url": "no"}), there)
    assert (decision.record, decision.writes) == (there, False)
