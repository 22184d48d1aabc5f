"""auth_type `standard_webhooks`.

Source: standardwebhooks.com, specification, "Signature scheme" and "Webhook headers (metadata)".
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import ClassVar

from rules.verify.setting import TOLERANCE
from rules.verify.signature import MAX_SIGNATURES, base64_hmac, only_value, require_match
from rules.verify.signed_time import only_time, require_recent
from rules.verify.verifier import Place, SignedRequest, Unsigned, VerificationError, Verifier

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with
_VERSION = b"v1,"


class StandardWebhooks(Verifier):
    """`webhook-signature: v1,<base64> …` of `<webhook-id>.<webhook-timestamp>.<body>`; v1a (ed25519) is passed over."""

    auth_type = "standard_webhooks"
    title = "Standard Webhooks"
    proof = "the endpoint's signing secret, whsec_ and base64, where the sender shows it"
    docs_url = "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"
    settings = (TOLERANCE,)
    signature_headers = ("webhook-signature",)
    other_headers = ("webhook-id", "webhook-timestamp")
    signs_time = True
    event_type = Place(pointer="/type")
    dedup_id = Place(header="webhook-id")
    prefix: ClassVar[str] = "webhook-"

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes one of the signatures, and it is recent.

        Raises:
            VerificationError: signature_…, id_… or timestamp_….
        """
        verify_standard(request, request.secrets, self.prefix)

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """An id made of the time and the body, the time, and a signature by each secret."""
        return sign_standard(request, request.secrets, self.prefix)

    def _secret_error(self, secret: str) -> str:
        return secret_error(secret)


def verify_standard(request: SignedRequest, secrets: Sequence[str], prefix: str = "webhook-") -> None:
    """Returns when one of these secrets makes one of the signatures, and it is recent.

    Raises:
        VerificationError: signature_…, id_… or timestamp_….
    """
    header = only_value(request.headers, f"{prefix}signature")
    webhook_id = only_value(request.headers, f"{prefix}id", "id")
    if not webhook_id:
        raise VerificationError("id_missing", f"header {prefix}id is empty")
    time = only_time(request, f"{prefix}timestamp")
    # Split once more than may be: what is over is a rest that shows.
    entries = header.split(b" ", MAX_SIGNATURES)
    given = [entry.removeprefix(_VERSION) for entry in entries if entry.startswith(_VERSION)]
    signed = b"%b.%b.%b" % (webhook_id, time, request.body)
    require_match(given, [base64_hmac(key_of(secret), signed) for secret in secrets])
    require_recent(time, request)


def sign_standard(request: Unsigned, secrets: Sequence[str], prefix: str = "webhook-") -> list[tuple[str, str]]:
    """The id, time and signature headers."""
    time = int(request.now_s)
    webhook_id = f"msg_{sha256(b'%f.%b' % (request.now_s, request.body)).hexdigest()[:32]}"
    signed = b"%b.%d.%b" % (webhook_id.encode(), time, request.body)
    signatures = [f"v1,{base64_hmac(key_of(secret), signed).decode()}" for secret in secrets]
    return [
        (f"{prefix}id", webhook_id),
        (f"{prefix}timestamp", str(time)),
        (f"{prefix}signature", " ".join(signatures)),
    ]


def key_of(secret: str) -> bytes:
    """The key in a secret that `secret_error` finds nothing wrong with.

    Raises:
        binascii.Error: there is something.
    """
    # Senders that drop the padding exist, and the reference libraries take it so.
    return base64.b64decode(_padded(secret.removeprefix(SECRET_PREFIX)), validate=True)


def secret_error(secret: str) -> str:
    """What is wrong with a secret; empty when nothing is. Of any length: it is the sender who chose it."""
    if not secret.startswith(SECRET_PREFIX):
        return "must be whsec_ and base64; put whsec_ before one that is shown without it"
    try:
        return "" if key_of(secret) else "holds no key after whsec_"
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return "holds no base64 after whsec_"


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
