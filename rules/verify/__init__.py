"""Who sent a request: one file a provider, pure decisions."""

from rules.verify.registry import check_config, known_auth_types, verifier_of, verify
from rules.verify.verifier import AuthConfigError, Place, SignedRequest, VerificationError, Verifier

__all__ = [
    "AuthConfigError",
    "Place",
    "SignedRequest",
    "VerificationError",
    "Verifier",
    "check_config",
    "known_auth_types",
    "verifier_of",
    "verify",
]
