"""auth_type `slack`.

Source: docs.slack.dev, "Verifying requests from Slack", "The Events API" and "url_verification".
"""

from collections.abc import Mapping
from typing import Any

import orjson

from rules.verify.v0_signed import V0Signed
from rules.verify.verifier import Place, SignedRequest

SIGNATURE_HEADER = "X-Slack-Signature"
TIME_HEADER = "X-Slack-Request-Timestamp"

MAX_HANDSHAKE_BYTES = 4_096
"""A `url_verification` has some 150; larger bodies need not be parsed to know that they are none."""


class Slack(V0Signed):
    """`X-Slack-Signature: v0=<hex>` of `v0:<time>:<body>`."""

    auth_type = "slack"
    title = "Slack"
    proof = "the app's Signing Secret: api.slack.com/apps, app, Basic Information"
    docs_url = "https://docs.slack.dev/authentication/verifying-requests-from-slack/"
    signature_headers = (SIGNATURE_HEADER,)
    other_headers = (TIME_HEADER,)
    event_type = Place(pointer="/event/type")
    dedup_id = Place(pointer="/event_id")

    def answer(self, request: SignedRequest) -> bytes | None:
        """The challenge of a `url_verification`: Slack takes no URL that does not say it back at once."""
        challenge = _document(request.body).get("challenge")
        return orjson.dumps({"challenge": challenge}) if isinstance(challenge, str) else None


def _document(body: bytes) -> Mapping[str, Any]:
    if len(body) > MAX_HANDSHAKE_BYTES or b"url_verification" not in body:
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) and document.get("type") == "url_verification" else {}
