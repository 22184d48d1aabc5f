"""What an API server sends: reviews are allowed whatever else holds, and lists of audit events are cut into events."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.admission import allowance, told_of_review
from rules.batch import MAX_ITEMS, TooManyItemsError
from rules.request_headers import RequestHeaders
from rules.told import Told
from rules.verify import AuthConfigError, SignedRequest, VerificationError, check_config, verifier_of, verify

UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
REVIEW = {
    "kind": "AdmissionReview",
    "apiVersion": "admission.k8s.io/v1",
    "request": {"uid": UID, "operation": "UPDATE", "object": {"uid": "another", "kind": "AdmissionReview"}},
}
AUDIT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "auditID": "a1",
    "stage": "ResponseComplete",
    "verb": "create",
}


def events(*items: object, api_version: str = "audit.k8s.io/v1", kind: str = "EventList") -> bytes:
    return orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": {}, "items": items})


def cut(body: bytes) -> list[tuple[bytes, Told | None, str]] | None:
    verifier = verifier_of("kubernetes")
    assert verifier
    items = verifier.items(body)
    return None if items is None else [(item.body, item.told, item.fault_code) for item in items]


@pytest.mark.parametrize("version", ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])
def test_a_review_is_allowed_under_its_uid_and_version(version: str) -> None:
    answer = orjson.loads(allowance(orjson.dumps(REVIEW | {"apiVersion": version})) or b"null")
    assert answer == {
        "apiVersion": version,
        "kind": "AdmissionReview",
        "response": {"uid": UID, "allowed": True},
    }


def test_the_beginning_of_a_review_suffices_as_the_api_server_writes_it_and_the_whole_in_any_order() -> None:
    whole = orjson.dumps(REVIEW | {"padding": "x" * 10_000})
    assert allowance(whole[:200]) == allowance(whole) == allowance(orjson.dumps(dict(reversed(REVIEW.items()))))
    assert allowance(orjson.dumps(dict(reversed(REVIEW.items())))[:100]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Other"},
        {"apiVersion": "audit.k8s.io/v1"},
        {"request": {}},
        {"request": {"uid": '"'}},
        {"request": None},
    ],
)
def test_what_only_looks_like_a_review_is_not_answered(change: dict[str, object]) -> None:
    assert allowance(orjson.dumps(REVIEW | change)) is None
    assert told_of_review(orjson.dumps(REVIEW | change)) is None


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda raw: b'{"kind":"AdmissionReview",' + raw))
def test_no_body_makes_the_reading_fail(body: bytes) -> None:
    assert allowance(body) is None
    assert told_of_review(body) is None
    cut(body + b'"audit.k8s.io/v1"')


def test_a_review_tells_its_operation_and_its_uid() -> None:
    assert told_of_review(orjson.dumps(REVIEW)) == Told("admission.update", UID)


def test_each_audit_event_of_a_list_is_an_event_with_its_verb_and_its_stage() -> None:
    one, two = AUDIT, AUDIT | {"verb": "watch", "stage": "ResponseStarted"}
    assert cut(events(one, two)) == [
        (orjson.dumps(one), Told("audit.create", "a1 ResponseComplete"), ""),
        (orjson.dumps(two), Told("audit.watch", "a1 ResponseStarted"), ""),
    ]
    assert cut(events()) == []
    assert cut(events(one, {"verb": 1})) == [
        (orjson.dumps(one), Told("audit.create", "a1 ResponseComplete"), ""),
        (b'{"verb":1}', None, "malformed"),
    ]


def test_what_is_no_list_of_audit_events_is_one_event() -> None:
    for body in (b"", b"{}", events(AUDIT, kind="Event"), events(AUDIT, api_version="v1"), b'["audit.k8s.io/"]'):
        assert cut(body) is None
    assert cut(b'{"audit.k8s.io/":' + b"[" * 100_000) is None


def test_a_list_is_no_longer_than_a_batch() -> None:
    with pytest.raises(TooManyItemsError):
        cut(events(*[AUDIT] * (MAX_ITEMS + 1)))


def test_a_token_is_asked_for_unless_the_source_says_that_none_is() -> None:
    def arrives(config: dict[str, Any], *pairs: tuple[bytes, bytes]) -> None:
        verify("kubernetes", SignedRequest(RequestHeaders(pairs), b"{}", ["t"], config, 0))

    arrives({}, (b"authorization", b"Bearer t"))
    arrives({"anonymous": True})
    for config in ({}, {"anonymous": False}):
        with pytest.raises(VerificationError, match="Authorization"):
            arrives(config)
    check_config("kubernetes", {"anonymous": True}, [])
    for wrong, secrets in (({}, []), ({"anonymous": True}, ["t"]), ({"anonymous": 1}, ["t"]), ({"header": "X"}, ["t"])):
        with pytest.raises(AuthConfigError):
            check_config("kubernetes", wrong, secrets)
