"""Holds the senders of a source to what the source says: from where, and how much."""

import time
from collections import OrderedDict

from rules.allowed_addresses import is_allowed
from rules.quota_headers import quota_headers, refusal_headers
from rules.rate_limit import RateLimit
from runtime.problem import ProblemError
from schemas.config import SourceSpec
from schemas.source_limits import SourceRateLimitSpec

MAX_LIMITS = 100_000
"""About 20 MB. The one unused longest is forgotten first; whoever is silent that long has its whole burst anyway."""

POLICY = "source"
NOT_ALLOWED = "address_not_allowed"


class SourceLimits:
    """The limits of all sources in this process."""

    def __init__(self) -> None:
        self._limits: OrderedDict[str, RateLimit] = OrderedDict()

    def charge(self, source: SourceSpec, count: int = 1) -> dict[str, str]:
        """Counts verified events against the limit of their source: those of a forger must not use it up.

        Args:
            source: whose they are.
            count: how many.

        Returns:
            the response headers that tell the sender what is left; none where there is no limit.

        Raises:
            ProblemError: 429 it has sent too many, 413 so many never come through together; none of these is counted.
        """
        if source.rate_limit is None:
            return {}
        limit, now_ms = self._limit(source.id, source.rate_limit), time.monotonic_ns() // 1_000_000
        if count > limit.burst:
            detail = f"the source may send {limit.burst} at once; this one has {count}"
            raise ProblemError(413, "too_many_items", detail, max_items=limit.burst)
        wait_s = limit.take(now_ms, count)
        if not wait_s:
            return quota_headers(POLICY, limit, now_ms)
        detail = f"the source may send {limit.per_second:g} a second, {limit.burst} at once"
        raise ProblemError(429, "rate_limited", detail, headers=refusal_headers(POLICY, limit, now_ms, wait_s))

    def _limit(self, source_id: str, spec: SourceRateLimitSpec) -> RateLimit:
        limit = self._limits.setdefault(source_id, RateLimit(spec.per_second, spec.burst_size))
        limit.per_second, limit.burst = spec.per_second, spec.burst_size  # the newest; what was sent stays sent
        self._limits.move_to_end(source_id)
        if len(self._limits) > MAX_LIMITS:
            self._limits.popitem(last=False)
        return limit


def require_allowed(source: SourceSpec, address: str) -> None:
    """Passes an address that may send for the source.

    Raises:
        ProblemError: 403 it may not.
    """
    if not is_allowed(address, source.allowed_ips):
        raise ProblemError(403, NOT_ALLOWED, f"{address or 'an unknown address'} may not send for this source")
