"""Which verifier an auth_type means. One that is not here never means "accept"."""

from collections.abc import Mapping, Sequence
from typing import Any

from rules.verify.basic import Basic
from rules.verify.generic_hmac import GenericHmac
from rules.verify.github import GitHub
from rules.verify.gitlab import GitLab
from rules.verify.kubernetes import Kubernetes
from rules.verify.meta import Meta
from rules.verify.none import NoVerification
from rules.verify.shopify import Shopify
from rules.verify.slack import Slack
from rules.verify.standard_webhooks import StandardWebhooks
from rules.verify.stripe import Stripe
from rules.verify.svix import Svix
from rules.verify.token import Token
from rules.verify.twilio import Twilio
from rules.verify.verifier import (
    AuthConfigError,
    CannotSignError,
    SignedRequest,
    Unsigned,
    VerificationError,
    Verifier,
)
from rules.verify.x import X
from rules.verify.zoom import Zoom

_BUILT_IN: tuple[type[Verifier], ...] = (
    NoVerification,
    Token,
    Basic,
    GenericHmac,
    StandardWebhooks,
    Svix,
    GitHub,
    GitLab,
    Kubernetes,
    Meta,
    Shopify,
    Slack,
    Stripe,
    Twilio,
    X,
    Zoom,
)

_verifiers: dict[str, Verifier] = {kind.auth_type: kind() for kind in _BUILT_IN}
"""As constant as the code that is installed: plug-ins are added once, before anything is decided."""


def add_verifier(verifier: Verifier) -> None:
    """Makes one more auth_type known.

    Raises:
        ValueError: there is one of that name; it stays.
    """
    if verifier.auth_type in _verifiers:
        raise ValueError(f"there is an auth_type {verifier.auth_type} already")
    _verifiers[verifier.auth_type] = verifier


def known_auth_types() -> list[str]:
    """Every auth_type that a source may name."""
    return sorted(_verifiers)


def verifier_of(auth_type: str) -> Verifier | None:
    """The verifier of an auth_type, or `None` when there is none."""
    return _verifiers.get(auth_type)


def verify(auth_type: str, request: SignedRequest) -> None:
    """Returns when the request proves its sender.

    Raises:
        VerificationError: it does not, or nobody knows how it would.
    """
    verifier = _verifiers.get(auth_type)
    if verifier is None:
        raise VerificationError("auth_type_unknown", "the source names a verification that does not exist here")
    verifier.verify(request)


def check_config(auth_type: str, auth_config: Mapping[str, Any], secrets: Sequence[str]) -> None:
    """Passes when a source can be verified so.

    Raises:
        AuthConfigError: it names every bad field.
    """
    verifier = _verifiers.get(auth_type)
    if verifier is None:
        raise AuthConfigError([("auth_type", f"must be one of {', '.join(known_auth_types())}")])
    try:
        verifier.check_config(auth_config, secrets)
    except AuthConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - as follows
        # A plug-in's defect must not stop the config agent; its message may hold the secret.
        wrong = f"{auth_type} failed to check this: {type(error).__name__}"
        raise AuthConfigError([("auth_type", wrong)]) from None


def signed_headers(  # noqa: PLR0917 - six things, each of another type
    auth_type: str, secrets: Sequence[str], auth_config: Mapping[str, Any], body: bytes, now_s: float, content_type: str
) -> list[tuple[str, str]]:
    """The headers with which the sender of such a source would send this body.

    Args:
        auth_type: of the source.
        secrets: of the source; the first signs, or all where several signatures have room.
        auth_config: of the source.
        body: the exact bytes that will be sent.
        now_s: epoch seconds.
        content_type: that will be sent with it.

    Raises:
        CannotSignError: nobody here can sign for such a source, or it cannot be verified either.
    """
    try:
        check_config(auth_type, auth_config, secrets)
    except AuthConfigError as error:
        raise CannotSignError(str(error)) from error
    return _verifiers[auth_type].sign(Unsigned(secrets, auth_config, body, now_s, content_type))
