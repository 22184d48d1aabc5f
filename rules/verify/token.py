"""auth_type `token`: the secret itself in a header, for senders that sign nothing."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from rules.verify.setting import Setting, affix, header_name
from rules.verify.signature import only_value, require_token
from rules.verify.verifier import SignedRequest, Unsigned, VerificationError, Verifier

DEFAULT_HEADER = "Authorization"
_BEARER = "Bearer "

_SENDABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""RFC 9110, section 5.5, less what only some senders get through: HTTP strips blanks at the ends of a value."""


class Token(Verifier):
    """`Authorization: Bearer <secret>` (RFC 6750), or the bare secret in another header, such as `X-Api-Key`."""

    auth_type = "token"
    title = "Token in a header"
    proof = "the token, as you entered it at the sender"
    docs_url = "https://www.rfc-editor.org/rfc/rfc6750#section-2.1"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("header", "the header with the token", header_name, default=DEFAULT_HEADER),
        Setting("prefix", "what stands before it; by default `Bearer ` in Authorization, else nothing", affix),
    )
    signature_headers = (DEFAULT_HEADER,)

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:
        """The header with the token."""
        return frozenset({str(self.setting(auth_config, "header")).lower()})

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source was sent.

        Raises:
            VerificationError: token_missing, token_malformed or token_mismatch.
        """
        header, prefix = self._form(request.auth_config)
        value = only_value(request.headers, header, "token")
        raw = prefix.encode()
        if value[: len(raw)].lower() != raw.lower():  # a scheme is one in any case: RFC 9110, section 11.1
            raise VerificationError("token_malformed", f"header {header} does not start with {prefix}")
        require_token(value[len(raw) :], [secret.encode() for secret in request.secrets])

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The first secret."""
        header, prefix = self._form(request.auth_config)
        return [(header, prefix + request.secrets[0])]

    def _form(self, auth_config: Mapping[str, Any]) -> tuple[str, str]:
        header = str(self.setting(auth_config, "header"))
        usual = _BEARER if header.lower() == DEFAULT_HEADER.lower() else ""
        return header, str(auth_config.get("prefix", usual))

    def _secret_error(self, secret: str) -> str:
        return unsendable(secret)


def unsendable(secret: str) -> str:
    """Why a secret can be in no header; empty when it can."""
    return "" if _SENDABLE.fullmatch(secret) else "must be printable ASCII without blanks at its ends"
