"""auth_type `github`.

Source: docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads", delivery headers.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from rules.verify.signature import only_signature, require_match, without_prefix
from rules.verify.verifier import Place, SignedRequest, Verifier

SIGNATURE_HEADER = "X-Hub-Signature-256"
_PREFIX = "sha256="


class GitHub(Verifier):
    """`X-Hub-Signature-256: sha256=<hex>`; the older SHA-1 header is not looked at."""

    auth_type = "github"
    event_type = Place(header="X-GitHub-Event")
    dedup_id = Place(header="X-GitHub-Delivery")

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG002 - the interface
        """Both signature headers that GitHub sends."""
        return frozenset({SIGNATURE_HEADER.lower(), "x-hub-signature"})

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature.

        Raises:
            VerificationError: signature_missing, signature_malformed or signature_mismatch.
        """
        given = without_prefix(only_signature(request.headers, SIGNATURE_HEADER), _PREFIX, SIGNATURE_HEADER)
        require_match(
            given,
            [hmac.digest(secret.encode(), request.body, "sha256").hex().encode() for secret in request.secrets],
        )
