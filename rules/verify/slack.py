"""auth_type `slack`.

Source: docs.slack.dev, "Verifying requests from Slack", "The Events API" and "url_verification".
"""

from collections.abc import Mapping
from typing import Any

import orjson

from rules.verify.setting import TOLERANCE
from rules.verify.signature import hex_hmac, only_value, require_match, without_prefix
from rules.verify.signed_time import only_time, require_recent
from rules.verify.verifier import Place, SignedRequest, Unsigned, Verifier

SIGNATURE_HEADER = "X-Slack-Signature"
TIME_HEADER = "X-Slack-Request-Timestamp"
_PREFIX = "v0="

MAX_HANDSHAKE_BYTES = 4_096
"""A `url_verification` has some 150; larger bodies need not be parsed to know that they are none."""


class Slack(Verifier):
    """`X-Slack-Signature: v0=<hex>` of `v0:<time>:<body>`."""

    auth_type = "slack"
    title = "Slack"
    proof = "the app's Signing Secret: api.slack.com/apps, app, Basic Information"
    docs_url = "https://docs.slack.dev/authentication/verifying-requests-from-slack/"
    settings = (TOLERANCE,)
    signature_headers = (SIGNATURE_HEADER,)
    other_headers = (TIME_HEADER,)
    signs_time = True
    event_type = Place(pointer="/event/type")
    dedup_id = Place(pointer="/event_id")

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
        """The challenge of a `url_verification`: Slack takes no URL that does not say it back at once."""
        challenge = _document(request.body).get("challenge")
        return orjson.dumps({"challenge": challenge}) if isinstance(challenge, str) else None

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The time, and the signature by the first secret."""
        time = str(int(request.now_s))
        signature = hex_hmac(request.secrets[0], _signed(time.encode(), request.body))
        return [(TIME_HEADER, time), (SIGNATURE_HEADER, _PREFIX + signature.decode())]


def _signed(time: bytes, body: bytes) -> bytes:
    return b"v0:%b:%b" % (time, body)


def _document(body: bytes) -> Mapping[str, Any]:
    if len(body) > MAX_HANDSHAKE_BYTES or b"url_verification" not in body:
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) and document.get("type") == "url_verification" else {}
