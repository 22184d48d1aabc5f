"""auth_type `zoom`.

Source: developers.zoom.us, "Using webhooks": verify with Zoom's header, and validate your webhook endpoint.
"""

import re
from typing import Any

import orjson

from rules.verify.setting import TOLERANCE
from rules.verify.signature import hex_hmac, only_value, require_match, without_prefix
from rules.verify.signed_time import only_time, require_recent
from rules.verify.verifier import Place, SignedRequest, Unsigned, Verifier

SIGNATURE_HEADER = "x-zm-signature"
TIME_HEADER = "x-zm-request-timestamp"
_PREFIX = "v0="

MAX_HANDSHAKE_BYTES = 4_096
"""An `endpoint.url_validation` has some 120; larger bodies need not be parsed to know that they are none."""

_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_+/=-]{1,256}")
"""Without a colon: what is signed for an event begins with `v0:`, and must not be had by asking for a token."""


class Zoom(Verifier):
    """`x-zm-signature: v0=<hex>` of `v0:<time>:<body>`, the time in `x-zm-request-timestamp`."""

    auth_type = "zoom"
    title = "Zoom"
    proof = "the app's Secret Token: Zoom App Marketplace, app, Features, Token"
    docs_url = "https://developers.zoom.us/docs/api/webhooks/#verify-with-zooms-header"
    settings = (TOLERANCE,)
    signature_headers = (SIGNATURE_HEADER,)
    other_headers = (TIME_HEADER,)
    signs_time = True
    event_type = Place(pointer="/event")

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature, and it is recent.

        Raises:
            VerificationError: signature_… or timestamp_….
        """
        given = without_prefix(only_value(request.headers, SIGNATURE_HEADER), _PREFIX, SIGNATURE_HEADER)
        time = only_time(request, TIME_HEADER)
        require_match([given], [hex_hmac(secret, _signed(time, request.body)) for secret in request.secrets])
        require_recent(time, request)

    def answer(self, request: SignedRequest) -> bytes | None:
        """The token of an `endpoint.url_validation` and its signature: Zoom takes no URL without, and asks again."""
        token = _plain_token(request.body)
        if not token:
            return None
        return orjson.dumps(
            {"plainToken": token, "encryptedToken": hex_hmac(_asking(request), token.encode()).decode()}
        )

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The time, and the signature by the first secret."""
        time = str(int(request.now_s))
        signature = hex_hmac(request.secrets[0], _signed(time.encode(), request.body))
        return [(TIME_HEADER, time), (SIGNATURE_HEADER, _PREFIX + signature.decode())]


def _asking(request: SignedRequest) -> str:
    """The secret with which the question was signed: of several, Zoom knows that one."""
    given = only_value(request.headers, SIGNATURE_HEADER).removeprefix(_PREFIX.encode())
    signed = _signed(only_time(request, TIME_HEADER), request.body)
    return next((one for one in request.secrets if hex_hmac(one, signed) == given), request.secrets[0])


def _signed(time: bytes, body: bytes) -> bytes:
    return b"v0:%b:%b" % (time, body)


def _plain_token(body: bytes) -> str:
    if len(body) > MAX_HANDSHAKE_BYTES or b"endpoint.url_validation" not in body:
        return ""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(document, dict) or document.get("event") != "endpoint.url_validation":
        return ""
    payload = document.get("payload")
    token = payload.get("plainToken") if isinstance(payload, dict) else None
    return token if isinstance(token, str) and _PLAIN_TOKEN.fullmatch(token) else ""
