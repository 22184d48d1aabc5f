"""The trace that an event belongs to (W3C Trace Context, section 3.2)."""

import os
import re

from rules.request_headers import RequestHeaders

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(headers: RequestHeaders) -> str:
    """The sender's `traceparent` when it is a valid one of version 00, else a new one that is sampled."""
    given = headers.all("traceparent")
    if len(given) == 1:
        text = given[0].decode("latin-1").strip()
        if _TRACEPARENT.fullmatch(text):
            return text
    random = os.urandom(24).hex()  # all zeros, which is forbidden, has a chance of 2^-64
    return f"00-{random[:32]}-{random[32:]}-01"
