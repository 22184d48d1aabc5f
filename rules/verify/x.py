"""auth_type `x`: webhooks of X, which was Twitter.

Source: docs.x.com, Webhooks, "Quickstart" (the CRC check) and "Verify webhook signatures".
"""

import re
from urllib.parse import parse_qs

import orjson

from rules.told import Told
from rules.verify.signature import base64_hmac, only_value, require_match, without_prefix
from rules.verify.verifier import Answer, SignedRequest, Unsigned, VerificationError, Verifier

SIGNATURE_HEADER = "x-twitter-webhooks-signature"
_PREFIX = "sha256="

MAX_FIELDS = 20
"""X sends two."""

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]{1,512}")
"""What a crc_token is made of. No event is: what the answer to a token signs could be posted as a body otherwise."""


class X(Verifier):
    """`x-twitter-webhooks-signature: sha256=<base64>` of the body, by the app's consumer secret; no time is signed.

    Once an hour X asks with a GET for the signature of its `crc_token`. Anybody may ask so, and the same key signs
    events: a token that could be an event is not answered, and a body that could be a token is no event.
    """

    auth_type = "x"
    title = "X (Twitter)"
    proof = "the app's consumer secret (API Key Secret): X Developer Console, app, Keys and tokens"
    docs_url = "https://docs.x.com/x-api/webhooks/quickstart"
    signature_headers = (SIGNATURE_HEADER,)

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature.

        Raises:
            VerificationError: signature_missing, signature_malformed, signature_mismatch or body_malformed.
        """
        given = without_prefix(only_value(request.headers, SIGNATURE_HEADER), _PREFIX, SIGNATURE_HEADER)
        require_match([given], [base64_hmac(secret.encode(), request.body) for secret in request.secrets])
        if _TOKEN.fullmatch(request.body):
            raise VerificationError("body_malformed", "the body could be a crc_token, whose signature anybody may ask")

    def handshake(self, request: SignedRequest) -> Answer | None:
        """The token's signature by the first secret.

        Raises:
            VerificationError: challenge_malformed.
        """
        token = _crc_token(request.query)
        if not _TOKEN.fullmatch(token):
            raise VerificationError("challenge_malformed", "it is no GET with a crc_token")
        if not request.secrets:
            raise VerificationError("secret_missing", "the source has no secret to answer with")
        signature = _PREFIX + base64_hmac(request.secrets[0].encode(), token).decode()
        return Answer(orjson.dumps({"response_token": signature}), "application/json")

    def told(self, body: bytes) -> Told | None:
        """The type is the name of the member with the activities, such as `tweet_create_events`."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        names = document if isinstance(document, dict) else ()
        return Told(next((name for name in names if name.endswith(("_events", "_event"))), ""))

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The signature by the first secret."""
        return [(SIGNATURE_HEADER, _PREFIX + base64_hmac(request.secrets[0].encode(), request.body).decode())]


def _crc_token(query: bytes) -> bytes:
    try:
        fields = parse_qs(query.decode("ascii"), max_num_fields=MAX_FIELDS)
    except ValueError:  # not ASCII, or more fields
        return b""
    tokens = fields.get("crc_token", [])
    return tokens[0].replace(" ", "+").encode() if len(tokens) == 1 else b""
