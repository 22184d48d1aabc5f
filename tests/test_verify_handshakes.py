"""Questions before events: answered to whom they belong, and no answer signs an event."""

import base64
import hmac

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.request_headers import RequestHeaders
from rules.verify import (
    Answer,
    AuthConfigError,
    SignedRequest,
    VerificationError,
    check_config,
    known_auth_types,
    verifier_of,
    verify,
)

SECRETS = ["app secret", "verify:meatyhamhock"]


def asked(auth_type: str, query: bytes, secrets: list[str] | None = None) -> Answer | None:
    verifier = verifier_of(auth_type)
    assert verifier
    return verifier.handshake(SignedRequest(RequestHeaders([]), b"", secrets or SECRETS, {}, 0, query=query))


def refusal(auth_type: str, query: bytes, secrets: list[str] | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        asked(auth_type, query, secrets)
    return caught.value.code


def meta(challenge: str = "1", token: str = "meatyhamhock", mode: str = "subscribe") -> bytes:
    return f"hub.mode={mode}&hub.challenge={challenge}&hub.verify_token={token}".encode()


def test_meta_s_challenge_is_said_back_only_for_the_verify_token() -> None:
    assert asked("meta", meta()) == Answer(b"1", "text/plain")
    for token in ("", "other", "app secret", "verify:meatyhamhock"):
        assert refusal("meta", meta(token=token)) == "token_mismatch"
    assert refusal("meta", b"hub.mode=subscribe&hub.challenge=1") == "token_missing"
    assert refusal("meta", meta(), ["app secret"]) == "secret_missing"


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"\xff",
        meta(mode="unsubscribe"),
        meta(""),
        meta("%3Cscript%3E"),
        meta("1" * 257),
        meta() + b"&hub.challenge=2",
        meta() + b"&a=1" * 50,
    ],
)
def test_what_is_no_question_of_meta_is_not_answered(query: bytes) -> None:
    assert refusal("meta", query) == "challenge_malformed"


def test_a_verify_token_signs_no_event_of_meta() -> None:
    for key in ("meatyhamhock", "verify:meatyhamhock"):
        signature = "sha256=" + hmac.digest(key.encode(), b"{}", "sha256").hex()
        headers = RequestHeaders([(b"x-hub-signature-256", signature.encode())])
        with pytest.raises(VerificationError):
            verify("meta", SignedRequest(headers, b"{}", SECRETS, {}, 0))
    for secrets in (["verify:a"], ["app", "verify:"], []):
        with pytest.raises(AuthConfigError):
            check_config("meta", {}, secrets)


@given(st.binary(max_size=60) | st.from_regex(r"\A[A-Za-z0-9{}\":,=]{1,20}\Z").map(str.encode))
def test_no_answer_to_a_token_of_x_is_the_signature_of_an_event(body: bytes) -> None:
    query = b"crc_token=" + b"".join(b"%%%02X" % byte for byte in body)
    try:
        answer = asked("x", query, ["s"])
    except VerificationError:
        return
    assert answer
    signature = orjson.loads(answer.body)["response_token"].encode()
    headers = RequestHeaders([(b"x-twitter-webhooks-signature", signature)])
    with pytest.raises(VerificationError):
        verify("x", SignedRequest(headers, body, ["s"], {}, 0))


def test_what_is_no_question_of_x_is_not_answered() -> None:
    for query in (b"", b"crc_token=", b"crc_token=a&crc_token=b", b"crc_token=%7B%7D", b"\xff=1"):
        assert refusal("x", query) == "challenge_malformed"
    plus = asked("x", b"crc_token=a+b=", ["s"])
    assert plus
    expected = base64.b64encode(hmac.digest(b"s", b"a+b=", "sha256"))
    assert orjson.loads(plus.body) == {"response_token": f"sha256={expected.decode()}"}


@pytest.mark.parametrize("token", ["", "v0:1:{}", "{}", 'a"b', "a" * 257, 1, None])
def test_zoom_gets_no_signature_of_what_could_be_an_event(token: object) -> None:
    zoom = verifier_of("zoom")
    assert zoom
    body = orjson.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}})
    assert zoom.answer(SignedRequest(RequestHeaders([]), body, ["s"], {}, 0)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"endpoint.url_validation",
        b'["endpoint.url_validation"]',
        b'{"event":"endpoint.url_validation"}',
        b'{"event":"endpoint.url_validation","payload":[]}',
        b'{"event":"meeting.started","payload":{"plainToken":"endpoint.url_validation"}}',
    ],
)
def test_what_only_looks_like_zoom_s_question_is_an_event(body: bytes) -> None:
    zoom = verifier_of("zoom")
    assert zoom
    assert zoom.answer(SignedRequest(RequestHeaders([]), body, ["s"], {}, 0)) is None


def test_the_other_providers_ask_nothing_with_a_get() -> None:
    for auth_type in set(known_auth_types()) - {"meta", "x"}:
        assert asked(auth_type, meta()) is None


def test_the_type_of_x_s_events_is_the_name_of_the_activity() -> None:
    x = verifier_of("x")
    assert x
    told = x.told(b'{"for_user_id":"1","tweet_create_events":[]}')
    assert told
    assert told.event_type == "tweet_create_events"
    for body in (b"", b"[]", b"{}", b'{"for_user_id":"1"}'):
        found = x.told(body)
        assert not found or not found.event_type
