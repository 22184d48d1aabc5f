"""auth_type `github`.

Source: docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads", delivery headers.
"""

from rules.verify.signature import hex_hmac, only_value, require_match, without_prefix
from rules.verify.verifier import Place, SignedRequest, Unsigned, Verifier

SIGNATURE_HEADER = "X-Hub-Signature-256"
_PREFIX = "sha256="


class GitHub(Verifier):
    """`X-Hub-Signature-256: sha256=<hex>`; the older SHA-1 header is not looked at, and not stored either."""

    auth_type = "github"
    title = "GitHub"
    proof = "the webhook's Secret: repository or organization, Settings, Webhooks"
    docs_url = "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"
    signature_headers = (SIGNATURE_HEADER, "X-Hub-Signature")
    event_type = Place(header="X-GitHub-Event")
    dedup_id = Place(header="X-GitHub-Delivery")

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature.

        Raises:
            VerificationError: signature_missing, signature_malformed or signature_mismatch.
        """
        given = without_prefix(only_value(request.headers, SIGNATURE_HEADER), _PREFIX, SIGNATURE_HEADER)
        require_match([given], [hex_hmac(secret, request.body) for secret in request.secrets])

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The signature by the first secret."""
        return [(SIGNATURE_HEADER, _PREFIX + hex_hmac(request.secrets[0], request.body).decode())]
