"""Which verifier an auth_type means. One that is not here never means "accept"."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rules.verify.generic_hmac import GenericHmac
from rules.verify.github import GitHub
from rules.verify.none import NoVerification
from rules.verify.verifier import AuthConfigError, SignedRequest, VerificationError, Verifier

_VERIFIERS: Mapping[str, Verifier] = MappingProxyType(
    {verifier.auth_type: verifier for verifier in (NoVerification(), GenericHmac(), GitHub())}
)


def known_auth_types() -> list[str]:
    """Every auth_type that a source may name."""
    return sorted(_VERIFIERS)


def verifier_of(auth_type: str) -> Verifier | None:
    """The verifier of an auth_type, or `None` when there is none."""
    return _VERIFIERS.get(auth_type)


def verify(auth_type: str, request: SignedRequest) -> None:
    """Returns when the request proves its sender.

    Raises:
        VerificationError: it does not, or nobody knows how it would.
    """
    verifier = _VERIFIERS.get(auth_type)
    if verifier is None:
        raise VerificationError("auth_type_unknown", "the source names a verification that does not exist here")
    verifier.verify(request)


def check_config(auth_type: str, auth_config: Mapping[str, Any], secrets: Sequence[str]) -> None:
    """Passes when a source can be verified so.

    Raises:
        AuthConfigError: it names every bad field.
    """
    verifier = _VERIFIERS.get(auth_type)
    if verifier is None:
        raise AuthConfigError([("auth_type", f"must be one of {', '.join(known_auth_types())}")])
    verifier.check_config(auth_config, secrets)
