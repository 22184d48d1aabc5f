"""auth_type `twilio`.

Source: twilio.com/docs/usage/webhooks/webhooks-security, and Twilio's own libraries, `RequestValidator`.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote_to_bytes

from rules.verify.setting import Setting
from rules.verify.signature import base64_hmac, only_value, require_match
from rules.verify.verifier import CannotSignError, Place, SignedRequest, Unsigned, VerificationError, Verifier

SIGNATURE_HEADER = "X-Twilio-Signature"
FORM = "application/x-www-form-urlencoded"

MAX_FIELDS = 1_000
"""Twilio sends some thirty; each costs a little more than its bytes."""

MAX_FORM_BYTES = 131_072
"""Attributes, the longest field, have at most 32 KiB; to decode a MiB would take a tenth of a second from everybody."""

MAX_URL_CHARS = 2_048
"""More than Twilio takes for a webhook."""

_ALGORITHMS = {28: "sha1", 44: "sha256"}  # by the length in base64; SHA-256 when a webhook rule says so
_HASH = b"bodySHA256="
_NO_FORM = re.compile(rb"[\x00-\x20\x7f-\xff]|%(?![0-9A-F]{2})")
"""Of the many ways to write the same fields only the usual one is taken, so that no byte can be another."""

_URL = re.compile(r"""(https?)://([0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[!"$->@-~]*)?""")
"""Without a user name, which would be a secret in a place that is shown, and without a query."""

_PORTS = {"https": "443", "http": "80"}


def _check_url(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_URL_CHARS or not _URL.fullmatch(value):
        return "must be an http or https URL without user name and query; the query is taken from the request"
    return ""


class Twilio(Verifier):
    """`X-Twilio-Signature: <base64>` of the URL as Twilio sees it, and the sorted fields of a form.

    Any other body stands in the URL as `bodySHA256`. Nothing is signed between a field's name and its value, and
    no time: that is Twilio's rule.
    """

    auth_type = "twilio"
    title = "Twilio"
    proof = "the account's Auth Token: Twilio Console, Account Info; or the SharedKey of a webhook rule"
    docs_url = "https://www.twilio.com/docs/usage/webhooks/webhooks-security"
    settings = (
        Setting(
            "url",
            "the public URL that Twilio posts to, as entered there, without its query; "
            "only https://host when proxies leave the path as it is and several topics share the source",
            _check_url,
            required=True,
        ),
    )
    signature_headers = (SIGNATURE_HEADER,)
    event_type = Place(
        form=("EventType", "StatusCallbackEvent", "RecordingStatus", "MessageStatus", "SmsStatus", "CallStatus")
    )
    # Not MessageSid: each change of a message's status has the same.
    dedup_id = Place(header="I-Twilio-Idempotency-Token")

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature.

        Raises:
            VerificationError: signature_…, body_malformed, body_hash_missing or body_hash_mismatch.
        """
        given = only_value(request.headers, SIGNATURE_HEADER)
        algorithm = _ALGORITHMS.get(len(given))
        if algorithm is None:
            raise VerificationError("signature_malformed", "the signature has not the length of one")
        content_type = request.headers.text("content-type")
        fields = _covered_fields(content_type, request.query, request.body)
        contents = [url + fields for url in _urls(request.auth_config, request.path, request.query)]
        require_match(
            [given],
            [base64_hmac(secret.encode(), content, algorithm) for secret in request.secrets for content in contents],
        )

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The signature of a form by the first secret, as for a URL without a query."""
        if not _is_form(request.content_type):
            raise CannotSignError(f"Twilio puts the hash of a body into the URL; only {FORM} is signed by a header")
        if not _parts(request.auth_config)[-1]:
            raise CannotSignError("auth_config.url has no path, so that the URL to sign is not known")
        try:
            fields = _fields(request.body)
        except VerificationError as error:
            raise CannotSignError(error.detail) from error
        url = next(_urls(request.auth_config, b"", b""))
        return [(SIGNATURE_HEADER, base64_hmac(request.secrets[0].encode(), url + fields, "sha1").decode())]


def _covered_fields(content_type: str, query: bytes, body: bytes) -> bytes:
    """What is signed after the URL; the body must be in it, or else its hash in the URL."""
    hashes = [part.removeprefix(_HASH) for part in query.split(b"&") if part.startswith(_HASH)]
    # Whenever there is a hash: the type of the content is not signed, and with another one the body would not be.
    if any(not compare_digest(one, sha256(body).hexdigest().encode()) for one in hashes):
        raise VerificationError("body_hash_mismatch", "bodySHA256 in the URL is not the hash of this body")
    if _is_form(content_type):
        return _fields(body)
    if not hashes:
        raise VerificationError("body_hash_missing", f"the body is no {FORM}, and the URL has no bodySHA256")
    return b""


def _is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == FORM


def _fields(body: bytes) -> bytes:
    if len(body) > MAX_FORM_BYTES:
        raise VerificationError("body_malformed", f"a form of Twilio has at most {MAX_FORM_BYTES} bytes")
    pairs = [part.split(b"=") for part in body.split(b"&", MAX_FIELDS)] if body else []
    if len(pairs) > MAX_FIELDS or any(len(pair) != 2 for pair in pairs) or _NO_FORM.search(body):  # noqa: PLR2004
        raise VerificationError("body_malformed", f"the body is not {FORM}")
    decoded = {(_decoded(name), _decoded(value)) for name, value in pairs}
    return b"".join(name + value for name, value in sorted(decoded))


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _urls(auth_config: Mapping[str, Any], path: bytes, query: bytes) -> Iterator[bytes]:
    """The URL without its port and with it: Twilio is not consistent there, say its own libraries."""
    scheme, host, port, own_path = _parts(auth_config)
    rest = (own_path.encode() or path) + (b"?" + query if query else b"")
    yield f"{scheme}://{host}".encode() + rest
    yield f"{scheme}://{host}:{port or _PORTS[scheme]}".encode() + rest


def _parts(auth_config: Mapping[str, Any]) -> tuple[str, ...]:
    found = _URL.fullmatch(auth_config["url"])
    if found is None:
        raise VerificationError("signature_mismatch", "auth_config.url is no URL")
    return found.groups("")
