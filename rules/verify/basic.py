"""auth_type `basic`: user name and password (RFC 7617)."""

import base64
from collections.abc import Mapping
from typing import Any

from rules.verify.setting import Setting
from rules.verify.signature import only_value, require_token
from rules.verify.verifier import SignedRequest, Unsigned, VerificationError, Verifier

HEADER = "Authorization"
_SCHEME = b"basic "

MAX_USERNAME_CHARS = 256
"""RFC 7617 sets none; the longest in use are e-mail addresses, 254."""


def _username(value: Any) -> str:
    # RFC 7617, section 2: a colon ends the name.
    good = isinstance(value, str) and 0 < len(value) <= MAX_USERNAME_CHARS and ":" not in value and value.isprintable()
    return "" if good else f"must be printable text of at most {MAX_USERNAME_CHARS} characters without a colon"


class Basic(Verifier):
    """`Authorization: Basic <base64 of name:password>`, in UTF-8."""

    auth_type = "basic"
    title = "Basic authentication"
    proof = "the password, as you entered it at the sender or in the URL you gave it"
    docs_url = "https://www.rfc-editor.org/rfc/rfc7617#section-2"
    settings = (Setting("username", "the user name", _username, required=True),)
    signature_headers = (HEADER,)

    def verify(self, request: SignedRequest) -> None:
        """Returns when the name was sent with a password of the source.

        Raises:
            VerificationError: credentials_missing, credentials_malformed or credentials_mismatch.
        """
        value = only_value(request.headers, HEADER, "credentials")
        if value[: len(_SCHEME)].lower() != _SCHEME:
            raise VerificationError("credentials_malformed", f"header {HEADER} does not start with Basic")
        expected = [_encoded(request.auth_config, secret) for secret in request.secrets]
        require_token(value[len(_SCHEME) :], expected, "credentials")

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The name with the first password."""
        return [(HEADER, f"Basic {_encoded(request.auth_config, request.secrets[0]).decode()}")]

    def _secret_error(self, secret: str) -> str:
        return "" if secret.isprintable() else "must be printable: RFC 7617 has no control characters"


def _encoded(auth_config: Mapping[str, Any], password: str) -> bytes:
    # Compared in this form, not decoded: the same bytes have several encodings, of which one is right.
    return base64.b64encode(f"{auth_config['username']}:{password}".encode())
