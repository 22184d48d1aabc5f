"""auth_type `zoom`.

Source: developers.zoom.us, "Using webhooks": verify with Zoom's header, and validate your webhook endpoint.
"""

import re
from typing import Any

import orjson

from rules.verify.signature import hex_hmac, only_value
from rules.verify.signed_time import only_time
from rules.verify.v0_signed import PREFIX, V0Signed, v0_text
from rules.verify.verifier import Place, SignedRequest

SIGNATURE_HEADER = "x-zm-signature"
TIME_HEADER = "x-zm-request-timestamp"

MAX_HANDSHAKE_BYTES = 4_096
"""An `endpoint.url_validation` has some 120; larger bodies need not be parsed to know that they are none."""

_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_+/=-]{1,256}")
"""Without a colon: what is signed for an event begins with `v0:`, and must not be had by asking for a token."""


class Zoom(V0Signed):
    """`x-zm-signature: v0=<hex>` of `v0:<time>:<body>`, the time in `x-zm-request-timestamp`."""

    auth_type = "zoom"
    title = "Zoom"
    proof = "the app's Secret Token: Zoom App Marketplace, app, Features, Token"
    docs_url = "https://developers.zoom.us/docs/api/webhooks/#verify-with-zooms-header"
    signature_headers = (SIGNATURE_HEADER,)
    other_headers = (TIME_HEADER,)
    event_type = Place(pointer="/event")

    def answer(self, request: SignedRequest) -> bytes | None:
        """The token of an `endpoint.url_validation` and its signature: Zoom takes no URL without, and asks again."""
        token = _plain_token(request.body)
        if not token:
            return None
        return orjson.dumps(
            {"plainToken": token, "encryptedToken": hex_hmac(_asking(request), token.encode()).decode()}
        )


def _asking(request: SignedRequest) -> str:
    """The secret with which the question was signed: of several, Zoom knows that one."""
    given = only_value(request.headers, SIGNATURE_HEADER).removeprefix(PREFIX.encode())
    signed = v0_text(only_time(request, TIME_HEADER), request.body)
    return next((one for one in request.secrets if hex_hmac(one, signed) == given), request.secrets[0])


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
