"""auth_type `shopify`.

Source: shopify.dev, "Verify webhook deliveries" and "Webhooks delivery structure".
"""

from rules.verify.signature import base64_hmac, only_value, require_match
from rules.verify.verifier import Place, SignedRequest, Unsigned, Verifier

SIGNATURE_HEADER = "X-Shopify-Hmac-SHA256"


class Shopify(Verifier):
    """`X-Shopify-Hmac-SHA256: <base64>` of the body; no time is signed.

    The id is that of the delivery, kept over its retries. `X-Shopify-Event-Id` is shared by all webhooks of one
    change, also those of different topics: all but the first would be taken for duplicates.
    """

    auth_type = "shopify"
    title = "Shopify"
    proof = (
        "the app's client secret (Dev Dashboard, app, Settings), or for webhooks made in the admin "
        "the text under Settings, Notifications, Webhooks"
    )
    docs_url = "https://shopify.dev/docs/apps/build/webhooks/verify-deliveries"
    signature_headers = (SIGNATURE_HEADER,)
    event_type = Place(header="X-Shopify-Topic")
    dedup_id = Place(header="X-Shopify-Webhook-Id")

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature.

        Raises:
            VerificationError: signature_missing, signature_malformed or signature_mismatch.
        """
        given = only_value(request.headers, SIGNATURE_HEADER)
        require_match([given], [base64_hmac(secret.encode(), request.body) for secret in request.secrets])

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The signature by the first secret."""
        return [(SIGNATURE_HEADER, base64_hmac(request.secrets[0].encode(), request.body).decode())]
