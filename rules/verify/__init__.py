"""Who sent a request: one file a provider, pure decisions."""

from rules.verify.providers import Provider, providers
from rules.verify.registry import (
    add_verifier,
    check_config,
    known_auth_types,
    signed_headers,
    verifier_of,
    verify,
)
from rules.verify.setting import Setting
from rules.verify.verifier import (
    Answer,
    AuthConfigError,
    CannotSignError,
    Place,
    SignedRequest,
    Unsigned,
    VerificationError,
    Verifier,
)

__all__ = [
    "Answer",
    "AuthConfigError",
    "CannotSignError",
    "Place",
    "Provider",
    "Setting",
    "SignedRequest",
    "Unsigned",
    "VerificationError",
    "Verifier",
    "add_verifier",
    "check_config",
    "known_auth_types",
    "providers",
    "signed_headers",
    "verifier_of",
    "verify",
]
