"""How a sender is told of its limit: the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10) and Retry-After."""

import math

from rules.rate_limit import RateLimit


def quota_headers(policy: str, limit: RateLimit, now_ms: int) -> dict[str, str]:
    """`RateLimit-Policy`: `q` at once, as many again in `w` seconds. `RateLimit`: `r` are left, all of them in `t`.

    Args:
        policy: what is limited, such as `source`.
        limit: how far.
        now_ms: of the limit's clock.
    """
    window_s = max(math.ceil(limit.burst / limit.per_second), 1)
    left, settled_s = limit.left(now_ms)
    return {
        "RateLimit-Policy": f'"{policy}";q={limit.burst};w={window_s}',
        "RateLimit": f'"{policy}";r={left};t={math.ceil(settled_s)}',
    }


def refusal_headers(policy: str, limit: RateLimit, now_ms: int, wait_s: float) -> dict[str, str]:
    """The same with `Retry-After`, in whole seconds; `t` is the same time, as section 5 of the draft asks for.

    Args:
        policy: as above.
        limit: as above.
        now_ms: as above.
        wait_s: in how many seconds there is room for what was refused.
    """
    retry_after_s = max(math.ceil(wait_s), 1)
    told = {"RateLimit": f'"{policy}";r=0;t={retry_after_s}', "Retry-After": str(retry_after_s)}
    return quota_headers(policy, limit, now_ms) | told
