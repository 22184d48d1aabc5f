"""When an endpoint that only fails is given up: its subscription is disabled, after warnings.

What is known is written to a compacted stream whenever it changes, so that a restart does not begin the days anew. It
changes a few times in a run of failures and once at its end, not with each attempt.
"""

from dataclasses import dataclass

import msgspec

DISABLE_AFTER_DAYS = 5.0
"""As Svix: longer than the three days in which one delivery has its attempts, and than most outages."""

MIN_FAILURES = 10
"""As many as the attempts of one delivery by the default schedule: two events in a week that failed are no outage."""

WARNINGS_PERCENT = (50, 75, 90)
"""Of the time until it is disabled: after two and a half days, with as long to go."""

_DAY_MS = 86_400_000


class Failing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one subscription; empty while it does not fail.

    Attributes:
        since_ms: epoch milliseconds of the first failure after the last success; 0 when there is none.
        failures: how many since, counted up to `MIN_FAILURES`.
        warned_percent: the last warning that was given; 0 when none was.
    """

    since_ms: int = 0
    failures: int = 0
    warned_percent: int = 0


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell the team.

    Attributes:
        percent: how much of the time has passed.
        disable_ms: epoch milliseconds from which a failure disables the subscription.
    """

    percent: int
    disable_ms: int


@dataclass(frozen=True, slots=True)
class Disable:
    """Disable the subscription.

    Attributes:
        since_ms: epoch milliseconds since when it only failed.
    """

    since_ms: int


def after_attempt(
    known: Failing, now_ms: int, *, success: bool, disable_after_days: float | None = DISABLE_AFTER_DAYS
) -> tuple[Failing, list[Warn | Disable]]:
    """What is known after one more attempt, and what to do now, in order.

    Only an attempt that fails disables: silence is no failure. What is known begins anew when the subscription is
    disabled, so whoever enables it again has the whole time.

    Args:
        known: what was known before.
        now_ms: epoch milliseconds.
        success: whether the endpoint took it.
        disable_after_days: the subscription's own time; `None` or 0 is never.
    """
    if success:
        return Failing(), []
    failing = Failing(known.since_ms or now_ms, min(known.failures + 1, MIN_FAILURES), known.warned_percent)
    if not disable_after_days or failing.failures < MIN_FAILURES:
        return failing, []
    days_ms = round(disable_after_days * _DAY_MS)
    passed_ms = now_ms - failing.since_ms
    if passed_ms >= days_ms:
        return Failing(), [Disable(failing.since_ms)]
    due = [percent for percent in WARNINGS_PERCENT if failing.warned_percent < percent <= passed_ms * 100 / days_ms]
    steps: list[Warn | Disable] = [Warn(percent, failing.since_ms + days_ms) for percent in due]
    if due:
        failing = msgspec.structs.replace(failing, warned_percent=due[-1])
    return failing, steps
