"""Signatures of deliveries, by Standard Webhooks (standardwebhooks.com, specification of 2023-12)."""

import base64
import binascii
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64


class UnusableSecretError(ValueError):
    """A secret that starts with `whsec_` but holds no key of 24 to 64 bytes in base64."""


def signing_key(secret: str) -> bytes:
    """The key in a secret: the base64 after `whsec_`, or else the text itself as UTF-8.

    Raises:
        UnusableSecretError: it says `whsec_` and holds no key.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise UnusableSecretError("what follows whsec_ is not base64") from error
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise UnusableSecretError(f"what follows whsec_ must be {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes")
    return key


def standard_headers(secrets: Sequence[str], webhook_id: str, timestamp_s: int, body: bytes) -> list[tuple[str, str]]:
    """`webhook-id`, `webhook-timestamp` and, with a secret, `webhook-signature` with one signature a secret."""
    headers = [("webhook-id", webhook_id), ("webhook-timestamp", str(timestamp_s))]
    if secrets:
        signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp_s, body)
        signatures = (base64.b64encode(hmac.digest(signing_key(secret), signed, "sha256")) for secret in secrets)
        headers.append(("webhook-signature", " ".join(f"v1,{text.decode()}" for text in signatures)))
    return headers
