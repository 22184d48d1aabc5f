"""The window in which a signed time must lie, so that a captured request cannot be sent again for ever."""

import re

from rules.verify.setting import DEFAULT_TOLERANCE_S
from rules.verify.signature import only_value
from rules.verify.verifier import SignedRequest, VerificationError

_SECONDS = re.compile(rb"0|[1-9][0-9]{0,11}")
"""Until the year 33658. `int` itself takes blanks, signs, underscores and leading zeros, and any number of them."""


def only_time(request: SignedRequest, header: str) -> bytes:
    """The digits in a header, as they were signed.

    Raises:
        VerificationError: timestamp_missing or timestamp_malformed.
    """
    return digits(only_value(request.headers, header, "timestamp"))


def digits(text: bytes) -> bytes:
    """The text, when it is whole epoch seconds.

    Raises:
        VerificationError: timestamp_malformed.
    """
    if not _SECONDS.fullmatch(text):
        raise VerificationError("timestamp_malformed", "the signed time is not whole seconds since 1970")
    return text


def require_recent(time: bytes, request: SignedRequest) -> None:
    """Returns when the signed time is at most `tolerance_s` away. Ask after the signature: the codes tell of clocks.

    Raises:
        VerificationError: timestamp_too_old or timestamp_too_new.
    """
    tolerance_s = request.auth_config.get("tolerance_s", DEFAULT_TOLERANCE_S)
    age_s = request.now_s - int(time)
    if age_s > tolerance_s:
        raise VerificationError("timestamp_too_old", f"the signed time is more than {tolerance_s} s ago")
    if age_s < -tolerance_s:
        raise VerificationError("timestamp_too_new", f"the signed time is more than {tolerance_s} s ahead")
