"""When a subscription whose endpoint only fails is disabled, and what is said before."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rules.failing import DISABLE_AFTER_DAYS, MIN_FAILURES, WARNINGS_PERCENT, Disable, Failing, Warn, after_attempt

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000

Step = Warn | Disable
runs = st.lists(st.tuples(st.integers(0, 3 * DAY_MS), st.integers(0, 9).map(bool)), max_size=200)


def failing_for(hours: int, days: float | None = DISABLE_AFTER_DAYS, every_h: int = 1) -> tuple[Failing, list[Step]]:
    known, steps = Failing(), list[Step]()
    for hour in range(0, hours + 1, every_h):
        known, more = after_attempt(known, NOW_MS + hour * HOUR_MS, success=False, disable_after_days=days)
        steps += more
    return known, steps


def test_five_days_of_failures_disable_it_after_three_warnings() -> None:
    known, steps = failing_for(5 * 24)
    disable_ms = NOW_MS + 5 * DAY_MS
    assert steps == [*(Warn(percent, disable_ms) for percent in WARNINGS_PERCENT), Disable(NOW_MS)]
    assert known == Failing()
    assert failing_for(5 * 24 - 1)[1] == steps[:-1]


def test_a_subscription_has_its_own_time() -> None:
    assert failing_for(24, days=1)[1][-1] == Disable(NOW_MS)
    assert failing_for(23, days=1)[1][-1] == Warn(90, NOW_MS + DAY_MS)


def test_it_can_be_kept_for_ever() -> None:
    for never in (None, 0):
        assert failing_for(1_000, days=never)[1] == []


def test_a_few_failures_far_apart_are_no_outage() -> None:
    assert failing_for(8 * 7 * 24, every_h=7 * 24)[1] == []


def test_a_failure_after_a_long_silence_says_what_was_missed() -> None:
    known, _ = failing_for(24)
    _, steps = after_attempt(known, NOW_MS + 4 * DAY_MS, success=False)
    assert [step.percent for step in steps if isinstance(step, Warn)] == [50, 75]


@given(runs, st.none() | st.floats(0, 10))
def test_only_an_unbroken_run_disables_and_every_warning_comes_once(
    run: list[tuple[int, bool]], days: float | None
) -> None:
    known, now_ms, warned, since_ms, failures = Failing(), NOW_MS, list[int](), 0, 0
    for gap_ms, failed in run:
        now_ms += gap_ms
        known, steps = after_attempt(known, now_ms, success=not failed, disable_after_days=days)
        since_ms, failures = (since_ms or now_ms, failures + 1) if failed else (0, 0)
        warned = warned if failed else []
        for step in steps:
            assert failures >= MIN_FAILURES
            assert days
            if isinstance(step, Disable):
                assert step.since_ms == since_ms
                assert now_ms - since_ms >= round(days * DAY_MS)
                since_ms, failures, warned = 0, 0, []
            else:
                warned.append(step.percent)
        assert warned == [percent for percent in WARNINGS_PERCENT if percent in warned]


@given(runs)
def test_a_restart_changes_nothing(run: list[tuple[int, bool]]) -> None:
    known, now_ms = Failing(), NOW_MS
    for gap_ms, failed in run:
        now_ms += gap_ms
        again = msgspec.json.decode(msgspec.json.encode(known), type=Failing)
        assert after_attempt(again, now_ms, success=not failed) == after_attempt(known, now_ms, success=not failed)
        known, _ = after_attempt(known, now_ms, success=not failed)


def test_what_is_known_is_seldom_written() -> None:
    known, writes = Failing(), 0
    for minute in range(5 * 24 * 60):
        after, _ = after_attempt(known, NOW_MS + minute * 60_000, success=False)
        writes += after != known
        known = after
    assert writes == MIN_FAILURES + len(WARNINGS_PERCENT)
