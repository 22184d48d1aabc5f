"""Who sent a request: known answers, and properties over random bodies and signatures."""

import base64
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.request_headers import RequestHeaders
from rules.verify import (
    AuthConfigError,
    SignedRequest,
    VerificationError,
    check_config,
    known_auth_types,
    verifier_of,
    verify,
)

GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

SECRETS = st.text(max_size=50).map(lambda text: f"k{text}")
BODIES = st.binary(max_size=200)


def request(
    headers: dict[str, bytes] | list[tuple[bytes, bytes]],
    body: bytes = b"{}",
    secrets: list[str] | None = None,
    config: dict[str, Any] | None = None,
) -> SignedRequest:
    pairs = headers if isinstance(headers, list) else [(k.lower().encode(), v) for k, v in headers.items()]
    return SignedRequest(RequestHeaders(pairs), body, secrets or [], config or {}, 0.0)


def refusal(auth_type: str, signed: SignedRequest) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(auth_type, signed)
    return caught.value.code


def config_errors(auth_type: str, config: dict[str, Any], secrets: list[str]) -> list[str]:
    with pytest.raises(AuthConfigError) as caught:
        check_config(auth_type, config, secrets)
    return [field for field, _ in caught.value.errors]


def test_the_example_of_github_s_documentation_passes() -> None:
    verify("github", request({"X-Hub-Signature-256": GITHUB_SIGNATURE}, GITHUB_BODY, [GITHUB_SECRET]))


def test_any_of_several_secrets_may_have_signed() -> None:
    for secrets in (["new", GITHUB_SECRET], [GITHUB_SECRET, "old"]):
        verify("github", request({"X-Hub-Signature-256": GITHUB_SIGNATURE}, GITHUB_BODY, secrets))


def test_a_source_without_secrets_refuses_everything() -> None:
    assert refusal("github", request({"X-Hub-Signature-256": GITHUB_SIGNATURE}, GITHUB_BODY)) == "secret_missing"


def test_each_way_to_be_wrong_has_its_code() -> None:
    def code(headers: dict[str, bytes]) -> str:
        return refusal("github", request(headers, GITHUB_BODY, [GITHUB_SECRET]))

    assert code({}) == "signature_missing"
    assert code({"X-Hub-Signature": b"sha1=" + b"0" * 40}) == "signature_missing"
    assert code({"X-Hub-Signature-256": b"757107ea"}) == "signature_malformed"
    assert code({"X-Hub-Signature-256": b"sha256=757107ea"}) == "signature_malformed"
    assert code({"X-Hub-Signature-256": b"sha256=" + b"0" * 64}) == "signature_mismatch"


def test_two_signature_headers_are_refused_even_when_one_is_right() -> None:
    twice = [(b"x-hub-signature-256", GITHUB_SIGNATURE), (b"x-hub-signature-256", GITHUB_SIGNATURE)]
    assert refusal("github", request(twice, GITHUB_BODY, [GITHUB_SECRET])) == "signature_malformed"


def test_an_unknown_auth_type_is_refused() -> None:
    assert refusal("gihtub", request({})) == "auth_type_unknown"
    assert config_errors("gihtub", {}, ["s"]) == ["auth_type"]
    assert verifier_of("gihtub") is None


def test_the_known_auth_types_are_listed() -> None:
    assert known_auth_types() == [
        "basic",
        "github",
        "gitlab",
        "hmac",
        "kubernetes",
        "meta",
        "none",
        "shopify",
        "slack",
        "standard_webhooks",
        "stripe",
        "svix",
        "token",
        "twilio",
        "x",
        "zoom",
    ]


@given(secret=SECRETS, body=BODIES)
def test_a_github_signature_of_any_body_passes(secret: str, body: bytes) -> None:
    signature = b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()
    verify("github", request({"X-Hub-Signature-256": signature}, body, [secret]))


@given(data=st.data(), secret=SECRETS, body=st.binary(min_size=1, max_size=200))
def test_a_body_with_one_other_byte_is_refused(data: st.DataObject, secret: str, body: bytes) -> None:
    signature = b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()
    tampered = one_other_byte(data, body)
    signed = request({"X-Hub-Signature-256": signature}, tampered, [secret])
    assert refusal("github", signed) == "signature_mismatch"


@given(data=st.data(), secret=SECRETS, body=BODIES)
def test_a_signature_with_one_other_byte_is_refused(data: st.DataObject, secret: str, body: bytes) -> None:
    signature = b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()
    signed = request({"X-Hub-Signature-256": one_other_byte(data, signature)}, body, [secret])
    assert refusal("github", signed) in {"signature_mismatch", "signature_malformed"}


@given(
    body=BODIES,
    secret=SECRETS,
    algorithm=st.sampled_from(["sha256", "sha512", "sha1"]),
    encoding=st.sampled_from(["hex", "base64"]),
    prefix=st.sampled_from(["", "v1=", "sha256="]),
)
def test_a_generic_signature_passes_in_every_form(
    body: bytes, secret: str, algorithm: str, encoding: str, prefix: str
) -> None:
    digest = hmac.digest(secret.encode(), body, algorithm)
    text = digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)
    config = {"header": "X-Sig", "algorithm": algorithm, "encoding": encoding, "prefix": prefix}
    check_config("hmac", config, [secret])
    verify("hmac", request({"x-sig": prefix.encode() + text}, body, [secret], config))


@given(data=st.data(), encoding=st.sampled_from(["hex", "base64"]), body=st.binary(min_size=1, max_size=200))
def test_a_generic_signature_or_body_with_one_other_byte_is_refused(
    data: st.DataObject, encoding: str, body: bytes
) -> None:
    digest = hmac.digest(b"secret", body, "sha256")
    signature = digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)
    config = {"encoding": encoding}
    if data.draw(st.booleans()):
        body = one_other_byte(data, body)
    else:
        signature = one_other_byte(data, signature)
    signed = request({"X-Webhook-Signature": signature}, body, ["secret"], config)
    assert refusal("hmac", signed) in {"signature_mismatch", "signature_malformed"}


def test_a_generic_signature_in_capital_hex_passes() -> None:
    signature = hmac.digest(b"secret", b"{}", "sha256").hex().upper().encode()
    verify("hmac", request({"X-Webhook-Signature": signature}, b"{}", ["secret"]))


def test_a_source_that_cannot_be_verified_is_refused_naming_every_field() -> None:
    assert config_errors("github", {}, []) == ["secret"]
    assert config_errors("hmac", {}, []) == ["secret"]
    assert config_errors("none", {"header": "X"}, ["s"]) == ["auth_config.header", "secret"]
    bad = {"header": "a b", "algorithm": "md5", "encoding": [], "prefix": 1, "heder": "X"}
    assert config_errors("hmac", bad, []) == [
        "auth_config.header",
        "auth_config.algorithm",
        "auth_config.encoding",
        "auth_config.prefix",
        "auth_config.heder",
        "secret",
    ]


def test_credential_headers_are_named_for_redaction() -> None:
    github, generic = verifier_of("github"), verifier_of("hmac")
    assert github is not None
    assert generic is not None
    assert github.credential_headers({}) == {"x-hub-signature-256", "x-hub-signature"}
    assert generic.credential_headers({}) == {"x-webhook-signature"}
    assert generic.credential_headers({"header": "X-Sig"}) == {"x-sig"}


def one_other_byte(data: st.DataObject, raw: bytes) -> bytes:
    index = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[index]))
    return raw[:index] + bytes([other]) + raw[index + 1 :]
