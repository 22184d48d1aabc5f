"""Whether and when a delivery is tried again."""

import math
from collections.abc import Sequence

import msgspec

from rules.retry_after import retry_after_s
from schemas.ids import ulid_time_ms
from schemas.retry import DEFAULT_DELAYS_S, DEFAULT_FACTOR, MAX_AGE_S, RetrySpec
from schemas.streams import RETRY_TIERS

MAX_JITTER = 0.1
"""Upward, so that the receivers of an outage do not come back in one moment, and nobody is tried early."""

JITTER_STEPS = 50
"""Jitter goes in steps of the longest stream that fits so often into the delay. That leaves six moments or more to come
back at, and costs half the hops that a jitter to the second does, each of them a copy of the body."""

EXPIRED = "expired"

GONE = 410
"""The endpoint will never take anything again (RFC 9110, section 15.5.11)."""


class Answer(msgspec.Struct, frozen=True):
    """What came of one request.

    Attributes:
        status_code: HTTP status, or 0 when no answer came.
        error: what went wrong without an answer, such as `connect_timeout`, or empty.
        retry_after: the `Retry-After` header as it came, or empty.
    """

    status_code: int = 0
    error: str = ""
    retry_after: str = ""

    @property
    def success(self) -> bool:
        """Whether the endpoint took it: any 2xx, and nothing else; a redirect is a failure."""
        return not self.error and 200 <= self.status_code < 300  # noqa: PLR2004 - RFC 9110, section 15.3

    @property
    def gone(self) -> bool:
        """Whether the endpoint wants nothing more, ever."""
        return not self.error and self.status_code == GONE

    @property
    def reason(self) -> str:
        """The failure in a word, such as `http_500` or `connect_timeout`; empty for a success."""
        return "" if self.success else self.error or f"http_{self.status_code}"


class NextStep(msgspec.Struct, frozen=True):
    """What follows from a failed attempt.

    Attributes:
        due_ms: epoch milliseconds before which the next attempt must not be made; `None` when there is none.
        reason: why the delivery waits or has given up, in a word.
    """

    due_ms: int | None
    reason: str


class Chance(msgspec.Struct, frozen=True):
    """What is not for the rules to know.

    Attributes:
        now_ms: epoch milliseconds.
        jitter: a random number in [0, 1).
        scale: shortens every delay and `Retry-After`, for demonstrations; not the age.
    """

    now_ms: int
    jitter: float
    scale: float = 1.0


def delays_of(retry: RetrySpec | None) -> Sequence[float]:
    """The seconds between attempts, in order."""
    if retry is None:
        return DEFAULT_DELAYS_S
    delays_s = _growing(retry) if retry.exponential else retry.schedule_s
    longest_s = math.inf if retry.max_delay_s is None else retry.max_delay_s
    return [min(delay_s, longest_s) for delay_s in delays_s[: retry.max_retries]]


def _growing(retry: RetrySpec) -> list[float]:
    delay_s = DEFAULT_DELAYS_S[0] if retry.base_delay_s is None else retry.base_delay_s
    longest_s = max(DEFAULT_DELAYS_S[-1], delay_s) if retry.max_delay_s is None else retry.max_delay_s
    factor = DEFAULT_FACTOR if retry.factor is None else retry.factor
    delays_s: list[float] = []
    for _ in range(len(DEFAULT_DELAYS_S) if retry.max_retries is None else retry.max_retries):
        delays_s.append(delay_s)
        delay_s = min(delay_s * factor, longest_s)  # step by step, so that no power grows beyond a float
    return delays_s


def after_failure(answer: Answer, retry: RetrySpec | None, attempt: int, end_ms: int, chance: Chance) -> NextStep:
    """When to try again, or why not.

    Args:
        answer: what came of the attempt that failed.
        retry: the subscription's policy.
        attempt: its number, from 1.
        end_ms: epoch milliseconds after which the delivery has expired. An attempt that would be due later is never
            made, so the delivery is dead now, and not after days of waiting.
        chance: the time, and the luck.
    """
    delays_s = delays_of(retry)
    if answer.gone or attempt > len(delays_s):
        return NextStep(None, answer.reason)
    floor_s = retry_after_s(answer.retry_after, chance.now_ms // 1_000)
    delay_s = _jittered_s(max(delays_s[attempt - 1], floor_s), chance.jitter)
    due_ms = chance.now_ms + math.ceil(delay_s * 1_000 * chance.scale)
    return NextStep(None, EXPIRED) if due_ms > end_ms else NextStep(due_ms, answer.reason)


def _jittered_s(delay_s: float, jitter: float) -> int:
    # Whole seconds, so that the ladder of delays ends on its one-second rung.
    steps_s = [tier.delay_s for tier in RETRY_TIERS if tier.delay_s * JITTER_STEPS <= delay_s]
    step_s = steps_s[-1] if steps_s else RETRY_TIERS[0].delay_s
    moments = math.floor(delay_s * MAX_JITTER / step_s) + 1
    return math.ceil(delay_s) + step_s * math.floor(moments * jitter)


def end_ms_of(received_ms: int, replay_id: str, retry: RetrySpec | None, released_ms: int = 0) -> int:
    """The last moment at which a delivery may be attempted, in epoch milliseconds.

    Args:
        received_ms: epoch milliseconds at which the event was accepted.
        replay_id: the ULID of the replay that made the delivery, or empty: its age counts from the replay.
        retry: the subscription's policy.
        released_ms: epoch milliseconds at which a replay of many got to it, or 0: a slow one takes longer than a
            short age allows.
    """
    age_s = MAX_AGE_S if retry is None or retry.max_age_s is None else retry.max_age_s
    replayed_ms = ulid_time_ms(replay_id) or 0 if replay_id else 0
    return max(received_ms, replayed_ms, released_ms) + math.ceil(age_s * 1_000)
