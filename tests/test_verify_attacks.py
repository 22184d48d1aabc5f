"""What a forger or a careless sender tries: each is refused with its code, and soon."""

import base64
import hmac
from collections.abc import Mapping
from typing import Any

import pytest

from rules.request_headers import RequestHeaders
from rules.verify import (
    AuthConfigError,
    CannotSignError,
    SignedRequest,
    VerificationError,
    check_config,
    signed_headers,
    verifier_of,
    verify,
)

KEY = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="
NOW_S = 1_790_000_000
FORM = "application/x-www-form-urlencoded"
URL = {"url": "https://h.example/a"}


def refusal(
    auth_type: str,
    headers: Mapping[str, str | bytes],
    body: bytes = b"{}",
    config: dict[str, Any] | None = None,
    query: bytes = b"",
) -> str:
    pairs = [(k.lower().encode(), v if isinstance(v, bytes) else v.encode()) for k, v in headers.items()]
    with pytest.raises(VerificationError) as caught:
        verify(auth_type, SignedRequest(RequestHeaders(pairs), body, [KEY], config or {}, NOW_S, query=query))
    return caught.value.code


def errors(auth_type: str, config: dict[str, Any], secrets: list[str]) -> list[str]:
    with pytest.raises(AuthConfigError) as caught:
        check_config(auth_type, config, secrets)
    return [field for field, _ in caught.value.errors]


def signed(auth_type: str, body: bytes = b"{}", config: dict[str, Any] | None = None) -> dict[str, str]:
    return dict(signed_headers(auth_type, [KEY], config or {}, body, NOW_S, FORM))


@pytest.mark.parametrize(
    "time",
    ["", "9" * 5_000, "-1", "+1790000000", " 1790000000", "1790000000 ", "1_790_000_000", "01790000000", "1.79e9",
     "1790000000.0", "0x6ab13b80", "nan", "١٧٩٠٠٠٠٠٠٠", "1790000000\n"],
)  # fmt: skip
def test_a_time_is_digits_and_nothing_else(time: str) -> None:
    def timed(signed_time: str) -> str:
        return hmac.digest(KEY.encode(), signed_time.encode() + b".{}", "sha256").hex()

    assert refusal("stripe", {"Stripe-Signature": f"t={time},v1={timed(time)}"}) == "timestamp_malformed"
    assert refusal("slack", signed("slack") | {"X-Slack-Request-Timestamp": time}) == "timestamp_malformed"
    headers = {"X-Webhook-Signature": timed(time), "X-Time": time}
    assert refusal("hmac", headers, config={"timestamp_header": "X-Time"}) == "timestamp_malformed"
    assert refusal("standard_webhooks", signed("standard_webhooks") | {"webhook-timestamp": time}) == (
        "timestamp_malformed"
    )


def test_stripe_s_header_is_taken_in_one_form_only() -> None:
    right = signed("stripe")["Stripe-Signature"]
    time, signature = right.split(",")
    for header in (f"{right},{time}", f"{time},{right}", signature, f"{right},", f"{right},v1", "", "t"):
        assert refusal("stripe", {"Stripe-Signature": header}) == "signature_malformed"
    for header in (time, f"{time},v0={'0' * 64}", f"{time},v1=", f"{time}, {signature}", f"{time},V1={'0' * 64}"):
        assert refusal("stripe", {"Stripe-Signature": header}) == "signature_malformed"


def test_a_header_with_thousands_of_signatures_is_refused_even_when_one_is_right() -> None:
    right = signed("stripe")["Stripe-Signature"]
    for count in (32, 5_000):
        assert refusal("stripe", {"Stripe-Signature": right + f",v1={'0' * 64}" * count}) == "signature_malformed"
    headers = signed("standard_webhooks")
    for count in (32, 5_000):
        many = headers | {"webhook-signature": headers["webhook-signature"] + f" v1,{'A' * 43}=" * count}
        assert refusal("standard_webhooks", many) == "signature_malformed"


def test_a_signature_in_another_base64_of_the_same_bytes_is_refused() -> None:
    body = next(
        body for body in (b"%d" % n for n in range(1_000)) if "/" in signed("shopify", body)["X-Shopify-Hmac-SHA256"]
    )
    right = signed("shopify", body)["X-Shopify-Hmac-SHA256"]
    loose = right[:-2] + chr(ord(right[-2]) + 1) + "="
    assert base64.b64decode(loose) == base64.b64decode(right)
    for other in (loose, right.replace("/", "_"), right.rstrip("="), right + "=", f"{right[:4]} {right[4:]}"):
        assert refusal("shopify", {"X-Shopify-Hmac-SHA256": other}, body) in {
            "signature_mismatch",
            "signature_malformed",
        }


def test_hex_in_mixed_case_is_refused() -> None:
    right = signed("hmac")["X-Webhook-Signature"]
    assert refusal("hmac", {"X-Webhook-Signature": right.title()}) == "signature_mismatch"


def test_bytes_that_are_no_text_are_refused() -> None:
    for auth_type, header in (
        ("github", "X-Hub-Signature-256"),
        ("token", "Authorization"),
        ("shopify", "X-Shopify-Hmac-SHA256"),
        ("stripe", "Stripe-Signature"),
    ):
        assert refusal(auth_type, {header: b"\xff\xfe\x00"}).endswith("_malformed")


def test_a_captured_twilio_request_with_another_content_type_is_refused() -> None:
    # The type is not signed: taken at its word, a form would be empty, or a JSON body would be covered by nothing.
    json = {"X-Twilio-Signature": "A" * 28, "Content-Type": FORM}
    assert refusal("twilio", json, b"", URL, b"bodySHA256=" + b"0" * 64) == "body_hash_mismatch"
    form = signed("twilio", b"a=b", URL) | {"Content-Type": "application/json"}
    assert refusal("twilio", form, b"a=b", URL) == "body_hash_missing"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"a",
        b"a=b&",
        b"a=b=c",
        b"a=%2b",
        b"a=%",
        b"a=\xc3\xbc",
        b"a=b c",
        b"&".join([b"a=1"] * 1_001),
        b"a=" + b"b" * 131_072,
    ],
)
def test_a_body_that_is_no_form_in_the_usual_writing_is_refused_as_twilio_s(body: bytes) -> None:
    headers = {"X-Twilio-Signature": "A" * 28, "Content-Type": FORM}
    assert refusal("twilio", headers, body, URL) == "body_malformed"


def test_twilio_cannot_be_signed_for_where_headers_do_not_suffice() -> None:
    for content_type, config, body in (
        ("application/json", URL, b"{}"),
        (FORM, {"url": "https://h.example"}, b"a=b"),
        (FORM, URL, b"{}"),
        (FORM, {}, b"a=b"),
    ):
        with pytest.raises(CannotSignError):
            signed_headers("twilio", [KEY], config, body, NOW_S, content_type)
    with pytest.raises(CannotSignError, match="secret is required"):
        signed_headers("github", [], {}, b"", NOW_S, FORM)
    with pytest.raises(CannotSignError, match="auth_type must be one of"):
        signed_headers("gihtub", [KEY], {}, b"", NOW_S, FORM)


def test_slack_s_question_is_answered_and_events_that_look_like_it_are_not() -> None:
    slack = verifier_of("slack")
    assert slack is not None

    def answer(body: bytes) -> bytes | None:
        return slack.answer(SignedRequest(RequestHeaders([]), body, [KEY], {}, NOW_S))

    assert answer(b'{"type":"url_verification","challenge":"c1","token":"t"}') == b'{"challenge":"c1"}'
    for body in (
        b"",
        b"url_verification",
        b'["url_verification"]',
        b'{"type":"url_verification"}',
        b'{"type":"url_verification","challenge":1}',
        b'{"type":"event_callback","challenge":"url_verification"}',
        b'{"type":"url_verification","challenge":"%b"}' % (b"c" * 5_000),
    ):
        assert answer(body) is None


@pytest.mark.parametrize("tolerance", [0, -1, 86_401, True, 300.0, "300", None])
def test_a_window_outside_its_bounds_is_refused(tolerance: Any) -> None:
    assert errors("stripe", {"tolerance_s": tolerance}, [KEY]) == ["auth_config.tolerance_s"]


@pytest.mark.parametrize(
    ("auth_type", "config", "secrets", "fields"),
    [
        ("standard_webhooks", {}, ["abc"], ["secret"]),
        ("standard_webhooks", {}, ["whsec_", KEY], ["secret"]),
        ("svix", {}, ["whsec_!!!!"], ["secret"]),
        ("gitlab", {}, ["whsec_ü"], ["secret"]),
        ("gitlab", {}, ["a\nb"], ["secret"]),
        ("token", {}, [" a"], ["secret"]),
        ("token", {}, ["ü"], ["secret"]),
        ("token", {"header": "a b", "prefix": "\n"}, [], ["auth_config.header", "auth_config.prefix", "secret"]),
        ("basic", {}, ["p"], ["auth_config.username"]),
        ("basic", {"username": "a:b"}, ["p\0"], ["auth_config.username", "secret"]),
        ("hmac", {"tolerance_s": 5}, ["s"], ["auth_config.tolerance_s"]),
        ("hmac", {"timestamp_header": "x-webhook-signature"}, ["s"], ["auth_config.timestamp_header"]),
        ("hmac", {"timestamp_header": "t", "signed_content": "{body}"}, ["s"], ["auth_config.signed_content"]),
        ("twilio", {}, ["s"], ["auth_config.url"]),
        ("twilio", {"url": "https://h.example/a?b=c"}, ["s"], ["auth_config.url"]),
        ("twilio", {"url": "https://u:p@h.example/a"}, ["s"], ["auth_config.url"]),
        ("twilio", {"url": "ftp://h.example/"}, ["s"], ["auth_config.url"]),
        ("twilio", {"url": "https://[::1/"}, ["s"], ["auth_config.url"]),
        ("twilio", {"url": 5}, ["s"], ["auth_config.url"]),
    ],
)
def test_a_source_that_could_never_be_verified_is_refused(
    auth_type: str, config: dict[str, Any], secrets: list[str], fields: list[str]
) -> None:
    assert errors(auth_type, config, secrets) == fields


def test_no_complaint_about_a_secret_holds_it() -> None:
    for auth_type in ("standard_webhooks", "gitlab", "token", "basic"):
        with pytest.raises(AuthConfigError) as caught:
            check_config(auth_type, {}, ["whsec_hunter2\n", " hunter2\n"])
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("auth_type", ["github", "hmac", "shopify", "slack", "stripe", "twilio"])
def test_a_blank_secret_is_refused(auth_type: str) -> None:
    config = URL if auth_type == "twilio" else {}
    for blank in ("", " ", "\n", "\u3000", "\0\0"):
        assert errors(auth_type, config, [KEY, blank]) == ["secret"]
