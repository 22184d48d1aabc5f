"""How a sender is told of its limit: the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10) and Retry-After."""

import math

from rules.rate_limit import RateLimit

POLICY = '"source"'
"""A structured string (RFC 9651, section 3.3.3)."""


def quota_headers(limit: RateLimit, now_ms: int) -> dict[str, str]:
    """`RateLimit-Policy`: `q` at once, as many again in `w` seconds. `RateLimit`: `r` are left, all of them in `t`."""
    window_s = max(math.ceil(limit.burst / limit.per_second), 1)
    left, settled_s = limit.free(now_ms), math.ceil(limit.settled_s(now_ms))
    return {
        "RateLimit-Policy": f"{POLICY};q={limit.burst};w={window_s}",
        "RateLimit": f"{POLICY};r={left};t={settled_s}",
    }


def refusal_headers(limit: RateLimit, wait_s: float, now_ms: int) -> dict[str, str]:
    """The same with `Retry-After`, in whole seconds; `t` is the same time, as section 5 of the draft asks for."""
    retry_after_s = max(math.ceil(wait_s), 1)
    told = {"RateLimit": f"{POLICY};r=0;t={retry_after_s}", "Retry-After": str(retry_after_s)}
    return quota_headers(limit, now_ms) | told
