"""Lengths of time and moments, as people type them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from cli.durations import UNITS_S, moment, seconds


@given(st.integers(0, 1_000), st.sampled_from(sorted(set(UNITS_S) - {"w"})))
def test_a_number_and_a_unit_are_that_many_of_it(number: int, unit: str) -> None:
    assert seconds(f"{number}{unit}") == pytest.approx(number * UNITS_S[unit])


@pytest.mark.parametrize("text", ["", "s", "-1s", "1y", "1h30", "1 fortnight", "nan", "9" * 30, "٣s"])
def test_what_is_no_length_of_time_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no length of time"):
        seconds(text)


@pytest.mark.parametrize(("text", "ago"), [("1h", timedelta(hours=1)), ("-7d", timedelta(days=7))])
def test_a_length_of_time_is_that_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC) - ago
    found = datetime.fromisoformat(moment(text))
    assert before - timedelta(milliseconds=1) <= found <= datetime.now(UTC) - ago


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_time_with_a_zone_is_the_same_moment_in_utc(when: datetime) -> None:
    found = datetime.fromisoformat(moment(when.isoformat()))
    assert found.utcoffset() == timedelta(0)
    assert abs(found - when) < timedelta(milliseconds=1)


def test_what_is_no_time_is_refused_and_quoted() -> None:
    with pytest.raises(typer.BadParameter, match="'yesterday'"):
        moment("yesterday")
