"""auth_type `stripe`.

Source: docs.stripe.com, "Receive Stripe events in your webhook endpoint", verify webhook signatures manually.
"""

from rules.verify.setting import TOLERANCE
from rules.verify.signature import MAX_SIGNATURES, hex_hmac, only_value, require_match
from rules.verify.signed_time import digits, require_recent
from rules.verify.verifier import Place, SignedRequest, Unsigned, VerificationError, Verifier

SIGNATURE_HEADER = "Stripe-Signature"

MAX_PARTS = 2 * MAX_SIGNATURES
"""The time, the signatures, and as many of schemes that are not looked at."""


class Stripe(Verifier):
    """`Stripe-Signature: t=<time>,v1=<hex>,…` of `<time>.<body>`; after a roll of the secret there are several v1.

    The key is the whole text of the secret, with its `whsec_`. Schemes other than v1 are not looked at.
    """

    auth_type = "stripe"
    title = "Stripe"
    proof = (
        "the endpoint's signing secret, whsec_… as it is: Workbench, Webhooks, endpoint; or what `stripe listen` prints"
    )
    docs_url = "https://docs.stripe.com/webhooks/signature"
    settings = (TOLERANCE,)
    signature_headers = (SIGNATURE_HEADER,)
    signs_time = True
    event_type = Place(pointer="/type")
    dedup_id = Place(pointer="/id")

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes one of the signatures, and they are recent.

        Raises:
            VerificationError: signature_… or timestamp_….
        """
        time, signatures = _parts(only_value(request.headers, SIGNATURE_HEADER))
        signed = b"%b.%b" % (time, request.body)
        require_match(signatures, [hex_hmac(secret, signed) for secret in request.secrets])
        require_recent(time, request)

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The time, and a signature by each secret."""
        time = int(request.now_s)
        signed = b"%d.%b" % (time, request.body)
        signatures = [f"v1={hex_hmac(secret, signed).decode()}" for secret in request.secrets]
        return [(SIGNATURE_HEADER, ",".join([f"t={time}", *signatures]))]


def _parts(header: bytes) -> tuple[bytes, list[bytes]]:
    pairs = [part.partition(b"=") for part in header.split(b",", MAX_PARTS)]
    times = [value for name, _, value in pairs if name == b"t"]
    if len(times) != 1 or len(pairs) > MAX_PARTS or not all(separator for _, separator, _ in pairs):
        raise VerificationError("signature_malformed", f"header {SIGNATURE_HEADER} is not t=…,v1=…")
    return digits(times[0]), [value for name, _, value in pairs if name == b"v1"]
