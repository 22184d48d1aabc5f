"""What is signed here is accepted, any other byte is not, and no request makes verification fail in another way."""

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rules.request_headers import RequestHeaders
from rules.verify import SignedRequest, VerificationError, check_config, known_auth_types, signed_headers, verify

FORM = "application/x-www-form-urlencoded"
NOW_S = 1_790_000_000.5

# Without zeros, with which HMAC fills short keys up: RFC 2104, section 2.
TEXTS = st.text(st.characters(codec="utf-8", min_codepoint=1), max_size=50).map(lambda text: f"k{text}")
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=50)
KEYS = st.lists(st.integers(1, 255), min_size=1, max_size=64).map(
    lambda key: f"whsec_{base64.b64encode(bytes(key)).decode()}"
)
BODIES = st.binary(max_size=200)
FORMS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), min_size=1, max_size=5).map(
    lambda fields: urlencode(fields).encode()
)


@dataclass(frozen=True)
class Sender:
    auth_type: str
    secrets: st.SearchStrategy[str] = TEXTS
    config: dict[str, Any] = field(default_factory=dict)
    bodies: st.SearchStrategy[bytes] = BODIES
    content_type: str = "application/json"
    covers_body: bool = True
    any_case: int = 0
    """Of so many bytes at the start of the header the case does not matter."""


SENDERS = [
    Sender("token", PRINTABLE, covers_body=False, any_case=7),
    Sender("token", PRINTABLE, {"header": "X-Api-Key"}, covers_body=False),
    Sender("basic", st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1), {"username": "bø"},
           covers_body=False, any_case=6),
    Sender("hmac"),
    Sender("hmac", config={"encoding": "base64", "algorithm": "sha1", "prefix": "v1="}),
    Sender("hmac", config={"timestamp_header": "X-Time"}),
    Sender("hmac", config={"timestamp_header": "X-Time", "signed_content": "{body}{timestamp}", "encoding": "base64"}),
    Sender("github"),
    Sender("gitlab", KEYS),
    Sender("gitlab", PRINTABLE.filter(lambda text: not text.startswith("whsec_")), covers_body=False),
    Sender("kubernetes", PRINTABLE, covers_body=False, any_case=7),
    Sender("meta"),
    Sender("shopify"),
    Sender("slack"),
    Sender("standard_webhooks", KEYS),
    Sender("stripe"),
    Sender("svix", KEYS),
    Sender("twilio", config={"url": "https://h.example/a"}, bodies=FORMS, content_type=FORM),
    Sender("x", bodies=BODIES.map(lambda body: b"{%b}" % body)),
    Sender("zoom"),
]  # fmt: skip
TIMED = [
    sender for sender in SENDERS if sender.auth_type in {"slack", "stripe", "standard_webhooks", "svix", "zoom"}
] + [
    Sender("gitlab", KEYS),
    Sender("hmac", config={"timestamp_header": "X-Time"}),
]

few = settings(max_examples=40)
"""For each of so many senders."""

senders = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: f"{sender.auth_type}-{len(sender.config)}")


def signed_by(sender: Sender, secrets: list[str], body: bytes, now_s: float = NOW_S) -> list[tuple[bytes, bytes]]:
    headers = signed_headers(sender.auth_type, secrets, sender.config, body, now_s, sender.content_type)
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def arrives(
    sender: Sender, headers: list[tuple[bytes, bytes]], body: bytes, secrets: list[str], now_s: float = NOW_S
) -> None:
    pairs = [*headers, (b"content-type", sender.content_type.encode())]
    verify(sender.auth_type, SignedRequest(RequestHeaders(pairs), body, secrets, sender.config, now_s))


def refusal(*arguments: Any) -> str:
    with pytest.raises(VerificationError) as caught:
        arrives(*arguments)
    return caught.value.code


def one_other_byte(data: st.DataObject, raw: bytes, start: int = 0) -> bytes:
    index = data.draw(st.integers(start, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[index]))
    return raw[:index] + bytes([other]) + raw[index + 1 :]


def test_every_auth_type_is_among_the_senders() -> None:
    assert {sender.auth_type for sender in SENDERS} | {"none"} == set(known_auth_types())


@senders
@few
@given(data=st.data())
def test_what_is_signed_passes_whichever_of_the_secrets_signed(sender: Sender, data: st.DataObject) -> None:
    secrets = data.draw(st.lists(sender.secrets, min_size=1, max_size=3))
    body = data.draw(sender.bodies)
    check_config(sender.auth_type, sender.config, secrets)
    headers = signed_by(sender, [data.draw(st.sampled_from(secrets))], body)
    arrives(sender, headers, body, secrets)
    arrives(sender, signed_by(sender, secrets, body), body, secrets[:1])


@senders
@few
@given(data=st.data())
def test_another_secret_and_none_are_refused(sender: Sender, data: st.DataObject) -> None:
    right, wrong = data.draw(sender.secrets), data.draw(sender.secrets)
    assume(right != wrong)
    body = data.draw(sender.bodies)
    headers = signed_by(sender, [right], body)
    assert refusal(sender, headers, body, [wrong]).endswith("_mismatch")
    assert refusal(sender, headers, body, []).endswith("_missing")


@senders
@few
@given(data=st.data())
def test_a_body_with_one_other_byte_is_refused(sender: Sender, data: st.DataObject) -> None:
    secret, body = data.draw(sender.secrets), data.draw(sender.bodies.filter(bool))
    headers = signed_by(sender, [secret], body)
    if sender.covers_body:
        assert refusal(sender, headers, one_other_byte(data, body), [secret]) in {
            "signature_mismatch",
            "body_malformed",
        }


@senders
@few
@given(data=st.data())
def test_a_signature_time_or_id_with_one_other_byte_is_refused(sender: Sender, data: st.DataObject) -> None:
    secret, body = data.draw(sender.secrets), data.draw(sender.bodies)
    headers = signed_by(sender, [secret], body)
    index = data.draw(st.integers(0, len(headers) - 1))
    name, value = headers[index]
    headers[index] = (name, one_other_byte(data, value, start=sender.any_case))
    assert refusal(sender, headers, body, [secret]).endswith(("_mismatch", "_malformed"))


@senders
@few
@given(data=st.data())
def test_a_header_that_is_missing_or_there_twice_is_refused(sender: Sender, data: st.DataObject) -> None:
    secret, body = data.draw(sender.secrets), data.draw(sender.bodies)
    headers = signed_by(sender, [secret], body)
    index = data.draw(st.integers(0, len(headers) - 1))
    assert refusal(sender, headers[:index] + headers[index + 1 :], body, [secret]).endswith("_missing")
    assert refusal(sender, [*headers, headers[index]], body, [secret]).endswith("_malformed")


@senders
@few
@given(data=st.data())
def test_no_header_and_no_body_makes_verification_fail_in_another_way(sender: Sender, data: st.DataObject) -> None:
    secret = data.draw(sender.secrets)
    headers = signed_by(sender, [secret], data.draw(sender.bodies))
    values = st.binary(max_size=40) | st.sampled_from([b"t=1,t=2", b"t=,v1=", b"v1,", b"v0=", b"Basic \xff"])
    changed = [(name, data.draw(values)) for name, _ in headers]
    assert refusal(sender, changed, data.draw(st.binary(min_size=1)), [secret])


@pytest.mark.parametrize("sender", TIMED, ids=lambda sender: sender.auth_type)
@few
@given(data=st.data(), tolerance_s=st.integers(1, 86_400))
def test_the_window_is_closed_at_both_ends_and_includes_them(
    sender: Sender, data: st.DataObject, tolerance_s: int
) -> None:
    sender = Sender(sender.auth_type, sender.secrets, sender.config | {"tolerance_s": tolerance_s})
    secret, body = data.draw(sender.secrets), data.draw(sender.bodies)
    check_config(sender.auth_type, sender.config, [secret])
    signed_s = int(NOW_S)
    headers = signed_by(sender, [secret], body, signed_s)
    for now_s in (signed_s - tolerance_s, signed_s + tolerance_s):
        arrives(sender, headers, body, [secret], now_s)
    assert refusal(sender, headers, body, [secret], signed_s + tolerance_s + 0.001) == "timestamp_too_old"
    assert refusal(sender, headers, body, [secret], signed_s - tolerance_s - 0.001) == "timestamp_too_new"


@pytest.mark.parametrize("sender", TIMED, ids=lambda sender: sender.auth_type)
def test_the_window_is_300_seconds_unless_the_source_sets_another(sender: Sender) -> None:
    secret = "whsec_YWJj"
    headers = signed_by(sender, [secret], b"{}", 1_000)
    arrives(sender, headers, b"{}", [secret], 1_300)
    assert refusal(sender, headers, b"{}", [secret], 1_301) == "timestamp_too_old"
