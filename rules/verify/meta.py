"""auth_type `meta`: Facebook, Instagram, WhatsApp and what else Meta's Graph API tells of.

Source: developers.facebook.com, Graph API Webhooks, "Getting Started": verification requests and event notifications.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs

from rules.verify.signature import hex_hmac, only_value, require_match, require_token, without_prefix
from rules.verify.verifier import (
    Answer,
    FieldError,
    Place,
    SignedRequest,
    Unsigned,
    VerificationError,
    Verifier,
)

SIGNATURE_HEADER = "X-Hub-Signature-256"
_PREFIX = "sha256="

TOKEN_PREFIX = "verify:"  # noqa: S105 - what such a secret begins with here
"""A Verify Token comes in URLs, which proxies log: it must not be a key that signs."""

MAX_FIELDS = 20
"""Meta sends three."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_.-]{1,256}")
"""Meta sends an integer. What is said back to a stranger must be nothing that a browser would run."""


class Meta(Verifier):
    """`X-Hub-Signature-256: sha256=<hex>` of the body as it came, by the app secret; no time is signed.

    Before that Meta asks with a GET, `hub.mode=subscribe`, for the `hub.challenge` back, and proves itself by the
    Verify Token.
    """

    auth_type = "meta"
    title = "Meta (Facebook, Instagram, WhatsApp)"
    proof = (
        "the app secret (App Dashboard, Settings, Basic), and beside it in `secrets` the Verify Token, as "
        "verify:<token>, that you enter with the URL (Webhooks, Edit subscription)"
    )
    docs_url = "https://developers.facebook.com/docs/graph-api/webhooks/getting-started"
    signature_headers = (SIGNATURE_HEADER, "X-Hub-Signature")
    event_type = Place(pointer="/object")

    def verify(self, request: SignedRequest) -> None:
        """Returns when an app secret of the source makes the signature.

        Raises:
            VerificationError: signature_missing, signature_malformed or signature_mismatch.
        """
        given = without_prefix(only_value(request.headers, SIGNATURE_HEADER), _PREFIX, SIGNATURE_HEADER)
        require_match([given], [hex_hmac(secret, request.body) for secret in _app_secrets(request.secrets)])

    def handshake(self, request: SignedRequest) -> Answer | None:
        """The challenge, when the Verify Token is one of the source.

        Raises:
            VerificationError: challenge_malformed, token_missing or token_mismatch.
        """
        fields = _fields(request.query)
        challenge = fields.get("hub.challenge", "")
        if fields.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
            raise VerificationError("challenge_malformed", "it is no GET with hub.mode=subscribe and a hub.challenge")
        if "hub.verify_token" not in fields:
            raise VerificationError("token_missing", "hub.verify_token is missing")
        tokens = [one.removeprefix(TOKEN_PREFIX) for one in request.secrets if one.startswith(TOKEN_PREFIX)]
        require_token(fields["hub.verify_token"].encode(), [token.encode() for token in tokens])
        return Answer(challenge.encode(), "text/plain")

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The signature by the first app secret."""
        return [(SIGNATURE_HEADER, _PREFIX + hex_hmac(_app_secrets(request.secrets)[0], request.body).decode())]

    def _secret_errors(self, secrets: Sequence[str]) -> Iterable[FieldError]:
        yield from super()._secret_errors(secrets)
        if secrets and not _app_secrets(secrets):
            yield "secret", f"none is an app secret: those that begin with {TOKEN_PREFIX} sign nothing"

    def _secret_error(self, secret: str) -> str:
        return f"holds no token after {TOKEN_PREFIX}" if secret == TOKEN_PREFIX else ""


def _app_secrets(secrets: Sequence[str]) -> list[str]:
    return [secret for secret in secrets if not secret.startswith(TOKEN_PREFIX)]


def _fields(query: bytes) -> dict[str, str]:
    """Fields that are there once; one that is there twice is nobody's."""
    try:
        found = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:  # not ASCII, or more fields
        return {}
    return {name: values[0] for name, values in found.items() if len(values) == 1}
