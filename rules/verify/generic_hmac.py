"""auth_type `hmac`: the HMAC of the body in a header, for senders without a provider of their own."""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rules.verify.signature import only_signature, require_match, without_prefix
from rules.verify.verifier import FieldError, SignedRequest, Verifier

DEFAULT_HEADER = "X-Webhook-Signature"

ALGORITHMS = ("sha256", "sha512", "sha1")
"""SHA-1 is weak as a hash, but not known to be so in an HMAC (RFC 6194), and old senders know nothing else."""

_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": base64.b64encode,
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110, section 5.6.2
_MAX_PREFIX_CHARS = 64
"""The longest known, `sha256=` and the like, have ten."""


class GenericHmac(Verifier):
    """HMAC (RFC 2104) of the exact body.

    auth_config: `header` (default X-Webhook-Signature), `algorithm` (sha256, sha512, sha1), `encoding` (hex,
    base64), `prefix` (default none). There is no timestamp, so a captured request can be sent again.
    """

    auth_type = "hmac"

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:
        """The header with the signature."""
        return frozenset({str(auth_config.get("header", DEFAULT_HEADER)).lower()})

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature.

        Raises:
            VerificationError: signature_missing, signature_malformed or signature_mismatch.
        """
        config = request.auth_config
        name = config.get("header", DEFAULT_HEADER)
        encoding = config.get("encoding", "hex")
        algorithm = config.get("algorithm", "sha256")
        given = without_prefix(only_signature(request.headers, name), config.get("prefix", ""), name)
        encode = _ENCODERS[encoding]
        require_match(
            given.lower() if encoding == "hex" else given,  # .NET writes hex in capitals
            [encode(hmac.digest(secret.encode(), request.body, algorithm)) for secret in request.secrets],
        )

    def _config_errors(self, auth_config: Mapping[str, Any]) -> Iterable[FieldError]:
        for name, value in auth_config.items():
            check = _CHECKS.get(name)
            if check is None:
                yield f"auth_config.{name}", "is no setting of auth_type hmac"
            else:
                yield from ((f"auth_config.{name}", message) for message in check(value))


def _check_header(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not _HEADER_NAME.fullmatch(value):
        yield "is not a header name"


def _check_algorithm(value: Any) -> Iterator[str]:
    if value not in ALGORITHMS:
        yield f"must be one of {', '.join(ALGORITHMS)}"


def _check_encoding(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or value not in _ENCODERS:
        yield f"must be one of {', '.join(_ENCODERS)}"


def _check_prefix(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or len(value) > _MAX_PREFIX_CHARS or not value.isascii():
        yield f"must be ASCII text of at most {_MAX_PREFIX_CHARS} characters"


_CHECKS: dict[str, Callable[[Any], Iterator[str]]] = {
    "header": _check_header,
    "algorithm": _check_algorithm,
    "encoding": _check_encoding,
    "prefix": _check_prefix,
}
