"""What the providers share: finding the one header, and comparing in constant time."""

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256

from rules.request_headers import RequestHeaders
from rules.verify.verifier import VerificationError

MAX_SIGNATURES = 32
"""In one header: a sender that rotates sends two. It bounds the work of refusing a forgery."""


def only_value(headers: RequestHeaders, name: str, what: str = "signature") -> bytes:
    """The value of a header.

    Args:
        headers: of the request.
        name: of the header.
        what: the start of the codes.

    Raises:
        VerificationError: `…_missing`, or `…_malformed`: there are two, of which another reader might take the other.
    """
    values = headers.all(name)
    if not values:
        raise VerificationError(f"{what}_missing", f"header {name} is missing")
    if len(values) > 1:
        raise VerificationError(f"{what}_malformed", f"header {name} is there {len(values)} times")
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


def hex_hmac(secret: str, content: bytes, algorithm: str = "sha256") -> bytes:
    """The HMAC (RFC 2104) keyed with a secret's text, in lower-case hex."""
    return hmac.digest(secret.encode(), content, algorithm).hex().encode()


def base64_hmac(key: bytes, content: bytes, algorithm: str = "sha256") -> bytes:
    """The HMAC (RFC 2104) in base64.

    Signatures are compared in this form: decoding would let through others that mean the same bytes.
    """
    return base64.b64encode(hmac.digest(key, content, algorithm))


def require_match(given: Sequence[bytes], expected: Sequence[bytes]) -> None:
    """Returns when one of the signatures is one of the expected ones, each compared in constant time.

    Raises:
        VerificationError: `signature_malformed` when none has the length of one, else `signature_mismatch`.
    """
    if not expected:
        raise VerificationError("secret_missing", "the source has no secret to verify with")
    if len(given) > MAX_SIGNATURES:
        raise VerificationError("signature_malformed", f"there are more than {MAX_SIGNATURES} signatures")
    lengths = {len(one) for one in expected}
    candidates = [one for one in given if len(one) in lengths]
    if not candidates:
        raise VerificationError("signature_malformed", "the signature has not the length of one")
    # A list, not a generator: how long it takes must not tell which secret matched.
    if not any([hmac.compare_digest(one, right) for one in candidates for right in expected]):  # noqa: C419 - as said
        raise VerificationError("signature_mismatch", "no secret of the source makes this signature of this request")


def require_token(given: bytes, expected: Sequence[bytes], what: str = "token") -> None:
    """Returns when a secret itself was sent. Digests are compared, so that time does not tell a secret's length.

    Raises:
        VerificationError: `secret_missing` or `…_mismatch`.
    """
    if not expected:
        raise VerificationError("secret_missing", "the source has no secret to verify with")
    digest = sha256(given).digest()
    if not any([hmac.compare_digest(digest, sha256(one).digest()) for one in expected]):  # noqa: C419 - as above
        raise VerificationError(f"{what}_mismatch", "it is no secret of the source")
