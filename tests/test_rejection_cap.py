"""How many refusals are recorded."""

from hypothesis import given
from hypothesis import strategies as st

from rules.rejection_cap import MAX_SOURCES, RejectionCap


def test_a_burst_is_recorded_and_then_one_a_second_with_the_count_of_the_others() -> None:
    cap = RejectionCap(rate_per_s=1, burst=2)
    assert [cap.take("s", 0.0) for _ in range(4)] == [0, 0, None, None]
    assert cap.take("s", 0.5) is None
    assert cap.take("s", 1.0) == 3
    assert cap.take("s", 1.0) is None


def test_a_flood_at_one_source_takes_nothing_from_another() -> None:
    cap = RejectionCap(rate_per_s=1, burst=1)
    assert [cap.take("a", 0.0) for _ in range(3)] == [0, None, None]
    assert cap.take("b", 0.0) == 0


def test_only_so_many_sources_are_remembered() -> None:
    cap = RejectionCap(rate_per_s=1, burst=1)
    for number in range(MAX_SOURCES + 1):
        assert cap.take(str(number), 0.0) == 0
    assert cap.take("0", 0.0) == 0
    assert cap.take(str(MAX_SOURCES), 0.0) is None


@given(st.lists(st.floats(0, 5), max_size=100))
def test_every_refusal_is_recorded_or_counted(gaps_s: list[float]) -> None:
    cap, now_s, recorded, counted = RejectionCap(rate_per_s=1, burst=3), 0.0, 0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        unrecorded = cap.take("s", now_s)
        recorded, counted = (recorded, counted) if unrecorded is None else (recorded + 1, counted + unrecorded)
    last = cap.take("s", now_s + 10)
    assert last is not None
    assert recorded + counted + last == len(gaps_s)
    assert recorded <= 3 + now_s
