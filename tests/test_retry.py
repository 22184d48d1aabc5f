"""When a delivery is tried again, and when not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.retry import MAX_JITTER, Answer, Chance, after_failure, delays_of, end_ms_of
from rules.retry_after import MAX_RETRY_AFTER_S
from schemas.ids import new_id, ulid_time_ms
from schemas.retry import DEFAULT_DELAYS_S, MAX_AGE_S, MAX_DELAY_S, MAX_FACTOR, MAX_RETRIES, RetrySpec

NOW_MS = 1_800_000_000_000
NEVER_MS = NOW_MS * 10
DAY_S = 86_400
ERROR = Answer(500)

policies = st.builds(
    RetrySpec,
    strategy=st.just("exponential"),
    base_delay_s=st.none() | st.floats(1, MAX_DELAY_S),
    factor=st.none() | st.floats(1, MAX_FACTOR),
    max_retries=st.none() | st.integers(0, MAX_RETRIES),
    max_age_s=st.none() | st.floats(1, MAX_AGE_S),
) | st.builds(RetrySpec, delays_s=st.lists(st.floats(1, MAX_DELAY_S), max_size=MAX_RETRIES))
jitters = st.floats(0, 1, exclude_max=True)
scales = st.floats(0.001, 1)


def test_without_a_policy_of_its_own_a_delivery_has_ten_attempts_over_three_days() -> None:
    delays = delays_of(None)
    assert len(delays) + 1 == 10
    assert 3 * DAY_S < sum(delays) < 4 * DAY_S


@pytest.mark.parametrize(
    ("policy", "delays_s"),
    [
        ({}, DEFAULT_DELAYS_S),
        ({"strategy": "schedule"}, DEFAULT_DELAYS_S),
        ({"max_retries": 3}, (5, 300, 1_800)),
        ({"max_retries": 0}, ()),
        ({"max_delay_s": 3_600}, (5, 300, 1_800, *[3_600] * 6)),
        ({"max_age_s": 60}, DEFAULT_DELAYS_S),
        ({"delays_s": []}, ()),
        ({"delays_s": [1, 2.5, 60]}, (1, 2.5, 60)),
        ({"delays_s": [1, 2, 3], "max_retries": 2}, (1, 2)),
        ({"delays_s": [1, 20, 3], "max_delay_s": 10}, (1, 10, 3)),
        ({"strategy": "exponential"}, (5, 10, 20, 40, 80, 160, 320, 640, 1_280)),
        ({"base_delay_s": 1}, (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        ({"base_delay_s": 1, "max_retries": 5}, (1, 2, 4, 8, 16)),
        ({"factor": 1, "max_retries": 3}, (5, 5, 5)),
        ({"base_delay_s": 10, "factor": 3, "max_retries": 4, "max_delay_s": 100}, (10, 30, 90, 100)),
        ({"base_delay_s": 100_000, "max_retries": 3}, (100_000, 100_000, 100_000)),
        ({"strategy": "exponential", "max_delay_s": 2, "max_retries": 2}, (2, 2)),
        ({"delays_s": None, "base_delay_s": 1, "max_retries": 1}, (1,)),
    ],
)
def test_what_a_policy_leaves_out_is_as_in_the_default(policy: dict[str, object], delays_s: tuple[float, ...]) -> None:
    assert tuple(delays_of(RetrySpec.model_validate(policy))) == delays_s


@given(policies)
def test_every_delay_of_every_policy_is_a_finite_time_within_its_bounds(policy: RetrySpec) -> None:
    delays_s = delays_of(policy)
    assert all(1 <= delay_s <= MAX_DELAY_S for delay_s in delays_s)
    assert policy.max_retries is None or len(delays_s) == policy.max_retries
    assert not policy.exponential or list(delays_s) == sorted(delays_s)


@given(policies, st.integers(1, MAX_RETRIES), jitters, scales)
def test_a_retry_is_never_before_its_delay_and_at_most_a_tenth_and_a_second_after(
    policy: RetrySpec, attempt: int, jitter: float, scale: float
) -> None:
    step = after_failure(ERROR, policy, attempt, NEVER_MS, Chance(NOW_MS, jitter, scale))
    delays_s = delays_of(policy)
    if attempt > len(delays_s):
        assert (step.due_ms, step.reason) == (None, "http_500")
        return
    assert step.due_ms is not None
    delay_ms = delays_s[attempt - 1] * 1_000
    waited_ms = (step.due_ms - NOW_MS) / scale
    assert delay_ms <= waited_ms <= delay_ms * (1 + MAX_JITTER) + 1_000 + 1 / scale
    assert scale < 1 or waited_ms % 1_000 == 0


def test_without_luck_the_delays_are_those_that_were_written() -> None:
    policy = RetrySpec(base_delay_s=1, max_retries=5)
    dues_ms = [after_failure(ERROR, policy, n, NEVER_MS, Chance(NOW_MS, 0.0)).due_ms or 0 for n in range(1, 6)]
    assert [due_ms - NOW_MS for due_ms in dues_ms] == [1_000, 2_000, 4_000, 8_000, 16_000]


@pytest.mark.parametrize("delay_s", [delay_s for delay_s in DEFAULT_DELAYS_S if delay_s > 60])
def test_those_who_fail_together_come_back_at_six_moments_or_more(delay_s: float) -> None:
    policy = RetrySpec(delays_s=[delay_s])
    moments = {after_failure(ERROR, policy, 1, NEVER_MS, Chance(NOW_MS, n / 1_000)).due_ms for n in range(1_000)}
    assert len(moments) >= 6


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_retry_after_is_a_floor_whatever_the_failure(status: int) -> None:
    policy = RetrySpec(delays_s=[10])

    def waits_s(retry_after: str) -> float:
        due_ms = after_failure(Answer(status, "", retry_after), policy, 1, NEVER_MS, Chance(NOW_MS, 0.0)).due_ms
        return ((due_ms or math.nan) - NOW_MS) / 1_000

    assert [waits_s(text) for text in ("", "3", "30", "-30", "soon", str(10**30))] == [10, 10, 30, 10, 10, DAY_S]
    assert waits_s("Fri, 15 Jan 2027 08:00:40 GMT") == 40


def test_retry_after_gives_no_attempt_that_the_policy_does_not() -> None:
    assert (
        after_failure(Answer(429, "", "1"), RetrySpec(max_retries=0), 1, NEVER_MS, Chance(NOW_MS, 0.0)).due_ms is None
    )


@given(st.integers(0, 2 * MAX_RETRY_AFTER_S), jitters, scales)
def test_what_is_asked_for_is_scaled_as_every_delay_is(asked_s: int, jitter: float, scale: float) -> None:
    answer = Answer(503, "", str(asked_s))
    due_ms = after_failure(answer, RetrySpec(delays_s=[1]), 1, NEVER_MS, Chance(NOW_MS, jitter, scale)).due_ms
    assert due_ms is not None
    assert due_ms - NOW_MS >= min(asked_s, MAX_RETRY_AFTER_S) * 1_000 * scale


def test_after_gone_there_is_no_other_attempt() -> None:
    answer = Answer(410, "", "1")
    assert after_failure(answer, None, 1, NEVER_MS, Chance(NOW_MS, 0.0)) == after_failure(
        Answer(410), RetrySpec(max_retries=0), 1, NEVER_MS, Chance(NOW_MS, 0.5)
    )
    assert answer.gone
    assert not Answer(410, "timeout").gone
    assert not Answer(404).gone


@given(policies, st.integers(1, MAX_RETRIES), jitters, st.integers(-10_000, 6 * DAY_S * 1_000), st.booleans())
def test_an_attempt_that_would_come_after_the_end_is_never_waited_for(
    policy: RetrySpec, attempt: int, jitter: float, left_ms: int, busy: bool
) -> None:
    answer = Answer(503, "", "3600" if busy else "")
    free = after_failure(answer, policy, attempt, NEVER_MS, Chance(NOW_MS, jitter))
    bound = after_failure(answer, policy, attempt, NOW_MS + left_ms, Chance(NOW_MS, jitter))
    if free.due_ms is None or free.due_ms <= NOW_MS + left_ms:
        assert bound == free
    else:
        assert (bound.due_ms, bound.reason) == (None, "expired")


def test_only_2xx_is_a_success_and_a_redirect_is_a_failure() -> None:
    assert [status for status in range(100, 600) if Answer(status).success] == list(range(200, 300))
    assert Answer(302).reason == "http_302"


def test_an_error_after_a_status_is_a_failure() -> None:
    assert not Answer(200, "disconnected").success
    assert Answer(200, "disconnected").reason == "disconnected"


def test_a_delivery_ends_six_days_after_its_event_or_when_its_subscription_says() -> None:
    assert end_ms_of(NOW_MS, "", None) == NOW_MS + 6 * DAY_S * 1_000
    assert end_ms_of(NOW_MS, "", RetrySpec()) == NOW_MS + 6 * DAY_S * 1_000
    assert end_ms_of(NOW_MS, "", RetrySpec(max_age_s=1.5)) == NOW_MS + 1_500


def test_a_replayed_delivery_is_as_old_as_its_replay_and_not_as_its_event() -> None:
    replay_id = new_id()
    replayed_ms = ulid_time_ms(replay_id)
    assert replayed_ms is not None
    assert end_ms_of(replayed_ms - 30 * DAY_S * 1_000, replay_id, None) == replayed_ms + 6 * DAY_S * 1_000
    assert end_ms_of(NOW_MS, "no ulid", None) == end_ms_of(NOW_MS, "", None)
