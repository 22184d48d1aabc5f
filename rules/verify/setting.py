"""What an `auth_config` may say: each setting with its meaning, its default and its check."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MIN_TOLERANCE_S = 1
"""Signed times are whole seconds: a smaller window would refuse honest senders."""

MAX_TOLERANCE_S = 86_400
"""The ids of senders are remembered for 24 hours; what is captured must be too old before its id is forgotten."""

DEFAULT_TOLERANCE_S = 300
"""What Stripe, Slack and Standard Webhooks advise: clocks differ by less, and a retry is signed anew."""

MAX_AFFIX_CHARS = 64
"""The longest known, `sha256=` and the like, have ten."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110, section 5.6.2

_TAKEN = frozenset(
    {"content-type", "content-length", "content-encoding", "host", "traceparent", "transfer-encoding", "user-agent"}
)
"""What HTTP or an event's record has a use for."""

Check = Callable[[Any], str]
"""What is wrong with a value, to follow its name; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of an `auth_config`."""

    name: str
    meaning: str
    check: Check
    default: Any = None
    required: bool = False


def header_name(value: Any) -> str:
    """For names of headers in which senders put what proves them."""
    if not isinstance(value, str) or not _HEADER_NAME.fullmatch(value):
        return "is not a header name"
    return "has another meaning, and its value is stored" if value.lower() in _TAKEN else ""


def one_of(choices: Sequence[str]) -> Check:
    """For one of a few words."""
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}"


def affix(value: Any) -> str:
    """For short text in a header: what stands before a signature, say."""
    good = isinstance(value, str) and len(value) <= MAX_AFFIX_CHARS and value.isascii() and value.isprintable()
    return "" if good else f"must be printable ASCII text of at most {MAX_AFFIX_CHARS} characters"


def _tolerance(value: Any) -> str:
    good = type(value) is int and MIN_TOLERANCE_S <= value <= MAX_TOLERANCE_S  # True is an int as well
    return "" if good else f"must be whole seconds from {MIN_TOLERANCE_S} to {MAX_TOLERANCE_S}"


TOLERANCE = Setting(
    "tolerance_s",
    "how many seconds the signed time may be from now, in either direction",
    _tolerance,
    default=DEFAULT_TOLERANCE_S,
)
