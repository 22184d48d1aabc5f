"""Whether and when a delivery is tried again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.config import RetrySpec

DEFAULT_DELAYS_S: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (Standard Webhooks, "Retry schedule"): 10 attempts."""

MAX_JITTER = 0.1
"""Upward, so that the receivers of an outage do not come back in one moment, and nobody is tried early."""

MAX_AGE_MS = 6 * 86_400_000
"""A delivery older than this is dead: the streams that carry it keep their records for seven days."""

EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request.

    Attributes:
        status_code: HTTP status, or 0 when no answer came.
        error: what went wrong without an answer, such as `connect_timeout`, or empty.
    """

    status_code: int = 0
    error: str = ""

    @property
    def success(self) -> bool:
        """Whether the endpoint took it: any 2xx, and nothing else; a redirect is a failure."""
        return not self.error and 200 <= self.status_code < 300  # noqa: PLR2004 - RFC 9110, section 15.3

    @property
    def reason(self) -> str:
        """The failure in a word, such as `http_500` or `connect_timeout`; empty for a success."""
        return "" if self.success else self.error or f"http_{self.status_code}"


def delays_of(retry: RetrySpec | None) -> Sequence[float]:
    """The seconds between attempts, in order."""
    return DEFAULT_DELAYS_S if retry is None else retry.delays_s


def next_due_ms(
    delays_s: Sequence[float], attempt: int, now_ms: int, *, jitter: float, scale: float = 1.0
) -> int | None:
    """When the attempt after `attempt` is due, in epoch milliseconds; `None` when that was the last.

    Args:
        delays_s: seconds between attempts.
        attempt: the number of the attempt that failed, from 1.
        now_ms: epoch milliseconds at which it ended.
        jitter: a random number in [0, 1).
        scale: shortens every delay, for demonstrations.
    """
    if attempt > len(delays_s):
        return None
    # Whole seconds, so that the ladder of delays ends on its one-second rung.
    delay_s = math.ceil(delays_s[attempt - 1] * (1 + MAX_JITTER * jitter))
    return now_ms + math.ceil(delay_s * 1_000 * scale)


def is_expired(received_ms: int, now_ms: int) -> bool:
    """Whether a delivery is too old to be tried again."""
    return now_ms - received_ms > MAX_AGE_MS
