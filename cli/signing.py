"""Signs what `send` and `demo` post. TO BE REPLACED, whole, by `rules.verify.signed_headers` and `CannotSignError`."""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any


class CannotSignError(ValueError):
    """This kind of source cannot be signed for; the message says why."""


def signed(  # noqa: PLR0917 - the replacement's form
    auth_type: str,
    secrets: Sequence[str],
    auth_config: Mapping[str, Any],
    body: bytes,
    now_s: float,  # noqa: ARG001 - the providers with a time come with the replacement
    content_type: str,  # noqa: ARG001 - as above
) -> list[tuple[str, str]]:
    """Return the headers that prove the sender, as its provider makes them.

    Raises:
        CannotSignError: there is no secret, or nobody knows how.
    """
    if auth_type == "none":
        return []
    if not secrets:
        raise CannotSignError(f"auth_type {auth_type} needs a secret")
    if auth_type == "github":
        return [("X-Hub-Signature-256", "sha256=" + hmac.digest(secrets[0].encode(), body, "sha256").hex())]
    if auth_type == "hmac" and auth_config.get("encoding", "hex") == "hex":
        digest = hmac.digest(secrets[0].encode(), body, auth_config.get("algorithm", "sha256")).hex()
        return [(auth_config.get("header", "X-Webhook-Signature"), auth_config.get("prefix", "") + digest)]
    raise CannotSignError(f"nothing here signs as auth_type {auth_type} does")
