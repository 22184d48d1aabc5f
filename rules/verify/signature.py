"""What the HMAC providers share: finding the one signature, and comparing it in constant time."""

import hmac
from collections.abc import Sequence

from rules.request_headers import RequestHeaders
from rules.verify.verifier import VerificationError


def only_signature(headers: RequestHeaders, name: str) -> bytes:
    """The value of the signature header.

    Raises:
        VerificationError: it is missing, or there are two, of which another reader might check the other.
    """
    values = headers.all(name)
    if not values:
        raise VerificationError("signature_missing", f"header {name} is missing")
    if len(values) > 1:
        raise VerificationError("signature_malformed", f"header {name} is there {len(values)} times")
    return values[0]


def without_prefix(signature: bytes, prefix: str, name: str) -> bytes:
    """The signature after its prefix, such as `sha256=`.

    Raises:
        VerificationError: it does not start so.
    """
    raw = prefix.encode()
    if not signature.startswith(raw):
        raise VerificationError("signature_malformed", f"header {name} does not start with {prefix}")
    return signature[len(raw) :]


def require_match(given: bytes, expected: Sequence[bytes]) -> None:
    """Returns when the signature is one of the expected ones, each compared in constant time.

    Raises:
        VerificationError: `signature_malformed` when it has not their length, else `signature_mismatch`.
    """
    if not expected:
        raise VerificationError("secret_missing", "the source has no secret to verify with")
    if all(len(given) != len(one) for one in expected):
        raise VerificationError("signature_malformed", "the signature has not the length of one")
    # A list, not a generator: how long it takes must not tell which secret matched.
    if not any([hmac.compare_digest(given, one) for one in expected]):  # noqa: C419 - as said above
        raise VerificationError("signature_mismatch", "no secret of the source makes this signature of this body")
