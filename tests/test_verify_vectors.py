"""Known answers: the examples of the senders' documents, and what the senders' own libraries sign and accept."""

import base64
import hmac
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks import Webhook
from stripe._webhook import WebhookSignature
from twilio.request_validator import RequestValidator

from rules.request_headers import RequestHeaders
from rules.verify import (
    Answer,
    SignedRequest,
    VerificationError,
    check_config,
    providers,
    signed_headers,
    verifier_of,
    verify,
)

FORM = "application/x-www-form-urlencoded"

SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_TIME = 1_531_420_618
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_HEADERS = {
    "X-Slack-Request-Timestamp": str(SLACK_TIME),
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}

STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_TIME = 1_614_265_330
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

TWILIO_TOKEN = "12345"
TWILIO_CONFIG = {"url": "https://mycompany.com/myapp.php"}
TWILIO_QUERY = b"foo=1&bar=2"
TWILIO_FORM = b"Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE"
TWILIO_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
TWILIO_JSON = b'{"property": "value", "boolean": true}'
TWILIO_JSON_QUERY = b"foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
TWILIO_JSON_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="


def arrived(headers: dict[str, str], body: bytes, secret: str, now_s: float = 0, **more: Any) -> SignedRequest:
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    config = more.pop("config", {})
    return SignedRequest(RequestHeaders(pairs), body, [secret], config, now_s, **more)


def refusal(auth_type: str, signed: SignedRequest) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(auth_type, signed)
    return caught.value.code


def test_slack_s_example_passes() -> None:
    verify("slack", arrived(SLACK_HEADERS, SLACK_BODY, SLACK_SECRET, SLACK_TIME))


def test_slack_s_library_accepts_what_is_signed_for_slack() -> None:
    class Then(Clock):
        def now(self) -> float:
            return SLACK_TIME

    headers = dict(signed_headers("slack", [SLACK_SECRET], {}, SLACK_BODY, SLACK_TIME, FORM))
    assert headers == SLACK_HEADERS
    assert SignatureVerifier(SLACK_SECRET, Then()).is_valid_request(SLACK_BODY, headers)


@pytest.mark.parametrize(("auth_type", "prefix"), [("standard_webhooks", "webhook"), ("svix", "svix")])
def test_the_example_of_standard_webhooks_passes(auth_type: str, prefix: str) -> None:
    headers = {
        f"{prefix}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        f"{prefix}-timestamp": str(STANDARD_TIME),
        f"{prefix}-signature": f"v1,{'A' * 43}= v2,abc v1a,abc {STANDARD_SIGNATURE}",
    }
    verify(auth_type, arrived(headers, STANDARD_BODY, STANDARD_SECRET, STANDARD_TIME))


def test_a_standard_secret_without_its_padding_is_the_same() -> None:
    padded = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
    headers = dict(signed_headers("standard_webhooks", [padded], {}, b"{}", 5, "text/plain"))
    check_config("standard_webhooks", {}, [padded.rstrip("=")])
    verify("standard_webhooks", arrived(headers, b"{}", padded.rstrip("="), 5))


@pytest.mark.parametrize("auth_type", ["standard_webhooks", "gitlab"])
def test_what_standard_webhooks_library_signs_passes_and_it_accepts_what_is_signed_here(auth_type: str) -> None:
    now_s = time.time()
    signature = Webhook(STANDARD_SECRET).sign("msg_1", datetime.fromtimestamp(now_s, UTC), "{}")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now_s)), "webhook-signature": signature}
    verify(auth_type, arrived(headers, b"{}", STANDARD_SECRET, now_s))
    signed = dict(signed_headers(auth_type, [STANDARD_SECRET], {}, b'{"a": 1}', now_s, "application/json"))
    assert Webhook(STANDARD_SECRET).verify(b'{"a": 1}', signed) == {"a": 1}


def test_what_stripe_s_library_signs_passes_and_it_accepts_what_is_signed_here() -> None:
    # Stripe's key is the whole text, although it looks like base64 after a prefix.
    now_s = int(time.time())
    header = WebhookSignature.generate_signature_header("{}", STANDARD_SECRET, now_s)
    verify("stripe", arrived({"Stripe-Signature": header}, b"{}", STANDARD_SECRET, now_s))
    signed = dict(signed_headers("stripe", ["other", STANDARD_SECRET], {}, b"{}", now_s, "application/json"))
    assert signed["Stripe-Signature"].count("v1=") == 2
    assert WebhookSignature.verify_header(b"{}", signed["Stripe-Signature"], STANDARD_SECRET, 300)
    with pytest.raises(stripe.SignatureVerificationError):
        WebhookSignature.verify_header(b"{}", signed["Stripe-Signature"], "another", 300)


def test_an_example_of_hmac_s_standard_passes_as_shopify_s_signature() -> None:
    # RFC 4231, section 4.3: Shopify's documents have a rule, but no example.
    digest = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    headers = {"X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode()}
    verify("shopify", arrived(headers, b"what do ya want for nothing?", "Jefe"))


RFC_4231 = (b"what do ya want for nothing?", "Jefe")
"""Section 4.3. Documents with a rule and no example are held to it: Shopify's, Meta's and X's."""
RFC_4231_HEX = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_an_example_of_hmac_s_standard_passes_as_meta_s_and_x_s_signature() -> None:
    digest = base64.b64encode(bytes.fromhex(RFC_4231_HEX)).decode()
    verify("meta", arrived({"X-Hub-Signature-256": f"sha256={RFC_4231_HEX}"}, *RFC_4231))
    verify("x", arrived({"x-twitter-webhooks-signature": f"sha256={digest}"}, *RFC_4231))


def test_meta_gets_its_challenge_back_as_in_its_example() -> None:
    query = b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock"
    request = SignedRequest(RequestHeaders([]), b"", ["app", "verify:meatyhamhock"], {}, 0, query=query)
    assert verifier_of("meta").handshake(request) == Answer(b"1158201444", "text/plain")  # type: ignore[union-attr]


def test_x_gets_its_token_signed() -> None:
    expected = base64.b64encode(hmac.digest(b"consumer secret", b"challenge_string", "sha256")).decode()
    request = SignedRequest(RequestHeaders([]), b"", ["consumer secret"], {}, 0, query=b"crc_token=challenge_string")
    answer = verifier_of("x").handshake(request)  # type: ignore[union-attr]
    assert answer == Answer(b'{"response_token":"sha256=%b"}' % expected.encode(), "application/json")


def test_zoom_s_signature_is_made_as_its_document_says() -> None:
    body = b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'
    time_s = 1_654_503_849
    signature = "v0=" + hmac.new(b"secret", b"v0:1654503849:" + body, "sha256").hexdigest()
    headers = {"x-zm-request-timestamp": str(time_s), "x-zm-signature": signature}
    assert dict(signed_headers("zoom", ["secret"], {}, body, time_s, "application/json")) == headers
    request = SignedRequest(arrived(headers, body, "secret").headers, body, ["other", "secret"], {}, time_s)
    verify("zoom", request)
    encrypted = hmac.new(b"secret", b"qgg8vlvZRS6UYooatFL8Aw", "sha256").hexdigest()
    answer = verifier_of("zoom").answer(request)  # type: ignore[union-attr]
    assert answer == b'{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"%b"}' % encrypted.encode()


def test_twilio_s_examples_pass() -> None:
    form = {"X-Twilio-Signature": TWILIO_SIGNATURE, "Content-Type": f"{FORM}; charset=UTF-8"}
    verify("twilio", arrived(form, TWILIO_FORM, TWILIO_TOKEN, config=TWILIO_CONFIG, query=TWILIO_QUERY))
    json = {"X-Twilio-Signature": TWILIO_JSON_SIGNATURE, "Content-Type": "application/json"}
    verify("twilio", arrived(json, TWILIO_JSON, TWILIO_TOKEN, config=TWILIO_CONFIG, query=TWILIO_JSON_QUERY))


def test_repeated_fields_are_signed_as_twilio_s_libraries_test() -> None:
    headers = {"X-Twilio-Signature": "IK+Dwps556ElfBT0I3Rgjkr1wJU=", "Content-Type": FORM}
    body = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234"
    verify("twilio", arrived(headers, body, TWILIO_TOKEN, config=TWILIO_CONFIG, query=TWILIO_QUERY))


@pytest.mark.parametrize("algorithm", ["HMAC_SHA1", "HMAC_SHA256"])
@pytest.mark.parametrize("host", ["h.example", "h.example:443", "h.example:8443"])
def test_what_twilio_s_library_signs_passes_with_either_algorithm_and_port(algorithm: str, host: str) -> None:
    url = f"https://{host}/hook"
    fields = {"Body": "Grüße & a=b", "To": "+1"}
    signature = RequestValidator("s").compute_signature(f"{url}?a=%20b", fields, algorithm)
    headers = {"X-Twilio-Signature": signature, "Content-Type": FORM}
    body = b"To=%2B1&Body=Gr%C3%BC%C3%9Fe+%26+a%3Db"
    verify("twilio", arrived(headers, body, "s", config={"url": url}, query=b"a=%20b"))
    origin = {"url": f"https://{host}"}
    verify("twilio", arrived(headers, body, "s", config=origin, path=b"/hook", query=b"a=%20b"))
    other = arrived(headers, body, "s", config=origin, path=b"/other", query=b"a=%20b")
    assert refusal("twilio", other) == "signature_mismatch"


def test_twilio_s_library_accepts_what_is_signed_here() -> None:
    signed = dict(signed_headers("twilio", [TWILIO_TOKEN], TWILIO_CONFIG, b"To=%2B1&Body=a+b", 0, FORM))
    validator = RequestValidator(TWILIO_TOKEN)
    assert validator.validate(TWILIO_CONFIG["url"], {"To": "+1", "Body": "a b"}, signed["X-Twilio-Signature"])


@pytest.mark.parametrize(
    ("username", "password", "value"),
    [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("Aladdin", "open sesame", "bASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123\u00a3", "Basic dGVzdDoxMjPCow=="),
    ],
)
def test_the_examples_of_basic_authentication_pass(username: str, password: str, value: str) -> None:
    verify("basic", arrived({"Authorization": value}, b"", password, config={"username": username}))


def test_the_example_of_bearer_tokens_passes() -> None:
    verify("token", arrived({"Authorization": "Bearer mF_9.B5f-4.1JqM"}, b"", "mF_9.B5f-4.1JqM"))


def test_a_token_may_be_in_a_header_of_its_own_and_after_another_prefix() -> None:
    verify("token", arrived({"X-Api-Key": "abc"}, b"", "abc", config={"header": "X-Api-Key"}))
    verify("token", arrived({"Authorization": "Token abc"}, b"", "abc", config={"prefix": "Token "}))
    verify("token", arrived({"Authorization": "abc"}, b"", "abc", config={"prefix": ""}))


def test_gitlab_s_secret_token_passes_and_holds_a_request_only_when_there_is_no_signature_to_check() -> None:
    verify("gitlab", arrived({"X-Gitlab-Token": "abc"}, b"{}", "abc"))
    # GitLab 19 sends the id and the time with every request, and the signature when it has a signing token.
    headers = {"X-Gitlab-Token": "abc", "webhook-id": "i", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    verify("gitlab", arrived(headers, b"{}", "abc"))
    both = arrived(headers, b"{}", "abc")
    both = SignedRequest(both.headers, b"{}", ["abc", STANDARD_SECRET], {}, 1.0)
    assert refusal("gitlab", both) == "signature_malformed"
    assert (
        refusal("gitlab", arrived({"X-Gitlab-Token": STANDARD_SECRET}, b"{}", STANDARD_SECRET)) == "signature_missing"
    )


def test_every_provider_says_what_it_needs() -> None:
    for provider in providers():
        assert provider.title
        assert provider.secret
        assert provider.docs_url.startswith("https://") or provider.auth_type == "none"
        assert provider.can_sign
        assert all(setting["meaning"] for setting in provider.settings)
        assert provider.headers or provider.auth_type == "none"
