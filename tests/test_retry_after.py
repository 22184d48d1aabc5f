"""What `Retry-After` says, in each of the forms that RFC 9110 knows, and in none of them."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.retry_after import MAX_RETRY_AFTER_S, retry_after_s

NOW_S = 784_111_717  # Sun, 06 Nov 1994 08:48:37 GMT, a minute before the example of RFC 9110, section 5.6.7


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_each_form_of_a_date_is_the_same_moment(text: str) -> None:
    assert retry_after_s(text, NOW_S) == 60
    assert retry_after_s(f" {text.lower()}\t", NOW_S) == 60


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("0000000120", 120),
        ("86400", 86_400),
        ("86401", MAX_RETRY_AFTER_S),
        ("9" * 10_000, MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 2094 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Sun, 06 Nov 1994 08:48:36 GMT", 0),
        ("Saturday, 06-Nov-54 08:49:37 GMT", 0),  # 2054 would be 60 years ahead, so it is 1954
        ("Thursday, 06-Nov-03 08:49:37 GMT", MAX_RETRY_AFTER_S),  # 2003, though a century ends before it
        ("Sun, 06 Nov 1994 08:48:60 GMT", 23),  # a leap second
    ],
)
def test_seconds_and_dates_are_bounded_and_never_negative(text: str, seconds: int) -> None:
    assert retry_after_s(text, NOW_S) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "\u0663",  # a digit, but not in ASCII
        "60, 60",
        "60 s",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "Sun Nov  6 08:49:37 0000",
    ],
)
def test_what_is_neither_seconds_nor_a_date_is_ignored(text: str) -> None:
    assert retry_after_s(text, NOW_S) == 0


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), st.integers(0, 4 * 10**9))
def test_whatever_comes_the_answer_is_a_time_between_now_and_a_day_from_now(text: str, now_s: int) -> None:
    assert 0 <= retry_after_s(text, now_s) <= MAX_RETRY_AFTER_S


@given(st.integers(0, 4 * 10**9), st.integers(-(10**6), MAX_RETRY_AFTER_S))
def test_a_date_of_any_year_is_as_far_ahead_as_it_says(now_s: int, ahead_s: int) -> None:
    moment_s = max(now_s + ahead_s, 0)
    text = format_datetime(datetime.fromtimestamp(moment_s, UTC), usegmt=True)
    assert retry_after_s(text, now_s) == max(moment_s - now_s, 0)
