"""When a delivery is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from rules.retry import DEFAULT_DELAYS_S, MAX_AGE_MS, Answer, delays_of, is_expired, next_due_ms
from schemas.config import RetrySpec

NOW_MS = 1_800_000_000_000


def test_without_a_schedule_of_its_own_a_delivery_has_ten_attempts_over_three_days() -> None:
    delays = delays_of(None)
    assert len(delays) + 1 == 10
    assert 3 * 86_400 < sum(delays) < 4 * 86_400


def test_an_empty_schedule_never_retries() -> None:
    assert next_due_ms(delays_of(RetrySpec(delays_s=[])), 1, NOW_MS, jitter=0.5) is None


@given(st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_a_retry_is_never_before_its_delay_and_at_most_a_tenth_and_a_second_after(attempt: int, jitter: float) -> None:
    due_ms = next_due_ms(DEFAULT_DELAYS_S, attempt, NOW_MS, jitter=jitter)
    assert due_ms is not None
    delay_ms = DEFAULT_DELAYS_S[attempt - 1] * 1_000
    assert delay_ms <= due_ms - NOW_MS <= delay_ms * 1.1 + 1_000
    assert (due_ms - NOW_MS) % 1_000 == 0


def test_after_the_last_delay_there_is_no_other_attempt() -> None:
    assert next_due_ms(DEFAULT_DELAYS_S, len(DEFAULT_DELAYS_S) + 1, NOW_MS, jitter=0.0) is None


def test_only_2xx_is_a_success_and_a_redirect_is_a_failure() -> None:
    assert [status for status in range(100, 600) if Answer(status).success] == list(range(200, 300))
    assert Answer(302).reason == "http_302"


def test_an_error_after_a_status_is_a_failure() -> None:
    assert not Answer(200, "disconnected").success
    assert Answer(200, "disconnected").reason == "disconnected"


def test_a_delivery_older_than_six_days_has_expired() -> None:
    assert not is_expired(NOW_MS - MAX_AGE_MS, NOW_MS)
    assert is_expired(NOW_MS - MAX_AGE_MS - 1, NOW_MS)
