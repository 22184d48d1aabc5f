"""The request headers that are kept: without credentials, and bounded."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from rules.request_headers import RequestHeaders, as_text

REDACTED = "[redacted]"

MAX_HEADERS = 64
"""Proxies and providers together send about thirty."""

MAX_VALUE_CHARS = 1_024
"""The longest that providers send is a signature of some hundred characters."""

MAX_TOTAL_CHARS = 16_384
"""Even as JSON escapes, six bytes a character, it fits beside the largest body in a record of 2 MiB."""

_CREDENTIAL = re.compile(rb"auth|cookie|token|secret|key|signature|hmac|passw|credential")
_NO_CREDENTIAL = frozenset({b"idempotency-key", b":authority"})

MIN_SECRET_CHARS = 8
"""A shorter secret may stand in other values by chance; whoever chose it has little to lose."""

MAX_KNOWN_BYTES = 256
"""Of a name that is remembered: all of them together hold 2 MiB at most."""

_ORDINARY = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "forwarded",
        "host",
        "traceparent",
        "transfer-encoding",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    }
)
"""Headers in which no sender puts a secret, and that tell who it is and how it came here."""


def kept_headers(
    headers: RequestHeaders, credentials: AbstractSet[str] | None, secrets: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Name and value pairs in the order they came; what is over a bound is cut off from the end.

    Args:
        headers: of the request.
        credentials: lower-cased names that the provider says hold credentials; `None` where no source is known, so
            that any header but an ordinary one may hold the secret of a sender that missed its topic.
        secrets: of the source, hidden in whatever header a sender put one by mistake.
    """
    kept: list[tuple[str, str]] = []
    room_chars = MAX_TOTAL_CHARS
    sought = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS]
    for raw_name, raw_value in headers.pairs[:MAX_HEADERS]:
        name, looks_so, ordinary = _known(raw_name) if len(raw_name) <= MAX_KNOWN_BYTES else _looked_at(raw_name)
        value = REDACTED
        if not (looks_so or (not ordinary if credentials is None else name in credentials)):
            text = as_text(raw_value)
            for secret in sought:
                if secret in text:
                    break
            else:
                value = text[:MAX_VALUE_CHARS]
        room_chars -= len(name) + len(value)
        if room_chars < 0:
            break
        kept.append((name, value))
    return tuple(kept)


def _looked_at(raw_name: bytes) -> tuple[str, bool, bool]:
    """A name as it is kept, whether it looks like a credential's, and whether it is an ordinary one."""
    name = as_text(raw_name)[:MAX_VALUE_CHARS]
    return name, raw_name not in _NO_CREDENTIAL and _CREDENTIAL.search(raw_name) is not None, name in _ORDINARY


_known = lru_cache(maxsize=4_096)(_looked_at)  # names repeat; a sender that invents new ones pushes old ones out
