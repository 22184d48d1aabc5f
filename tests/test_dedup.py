"""Which events are repetitions, whatever order their batches are dispatched in and whatever crashes between."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rules.dedup import WINDOW_MS, First, Sighting, find_duplicates

HOUR_MS = 3_600_000


def sighting(offset: int, hours: float, name: str = "a") -> Sighting:
    return Sighting(name.encode(), offset, round(hours * HOUR_MS))


def naive(events: Sequence[Sighting]) -> dict[int, int]:
    """The first one of each repetition, by looking at all events before it."""
    first_of: dict[int, int] = {}
    for event in events:
        earlier = [other for other in events if other.hash == event.hash and other.offset < event.offset]
        firsts = [other for other in earlier if other.offset not in first_of]
        inside = [other.offset for other in firsts if event.at_ms - other.at_ms < WINDOW_MS]
        if inside:
            first_of[event.offset] = inside[-1]
    return first_of


@st.composite
def logs(draw: st.DrawFn) -> list[Sighting]:
    """A partition: few ids, times that mostly go on."""
    steps_ms = draw(st.lists(st.integers(-HOUR_MS, 20 * HOUR_MS), max_size=30))
    times_ms = [WINDOW_MS + sum(steps_ms[: number + 1]) for number in range(len(steps_ms))]
    return [Sighting(draw(st.sampled_from([b"a", b"b", b"c"])), n, at_ms) for n, at_ms in enumerate(times_ms)]


@given(logs(), st.data())
def test_exactly_the_first_of_24_hours_counts_through_any_batches_crashes_and_owners(
    log: list[Sighting], data: st.DataObject
) -> None:
    expected = naive(log)
    stream: list[Sighting] = []  # the dispatch records of first ones
    committed = 0
    while committed < len(log):
        end = data.draw(st.integers(committed + 1, len(log)))
        batch = log[committed:end]
        duplicates = find_duplicates(batch, known_of(stream))
        assert {offset: first.offset for offset, first in duplicates.items()} == {
            offset: first for offset, first in expected.items() if committed <= offset < end
        }
        # A crash leaves any part of the records, a zombie's come late and twice; only what is whole is committed.
        stored = [event for event in batch if event.offset not in duplicates]
        if data.draw(st.booleans()):
            stream += data.draw(st.permutations(stored))[: data.draw(st.integers(0, len(stored)))]
        else:
            stream += stored
            committed = data.draw(st.integers(committed, end))


def known_of(stream: Sequence[Sighting]) -> dict[bytes, list[First]]:
    known: dict[bytes, list[First]] = {}
    for event in stream:
        known.setdefault(event.hash, []).append(First(event.offset, event.at_ms))
    return known


def test_a_repetition_within_24_hours_of_the_first_is_found() -> None:
    log = [sighting(1, 0), sighting(2, 23.9), sighting(3, 24), sighting(4, 47)]
    assert find_duplicates(log, {}) == {2: First(1, 0), 4: First(3, 24 * HOUR_MS)}


def test_the_window_begins_with_the_first_one_and_not_with_its_repetitions() -> None:
    log = [sighting(1, 0), sighting(2, 20), sighting(3, 30)]
    assert find_duplicates(log, {}).keys() == {2}


def test_an_event_is_never_its_own_repetition() -> None:
    log = [sighting(7, 5), sighting(8, 5)]
    known = {b"a": [First(7, 5 * HOUR_MS)]}
    assert find_duplicates(log, known).keys() == {8}


def test_a_first_one_that_comes_later_in_the_log_changes_nothing_before_it() -> None:
    known = {b"a": [First(1, 0), First(9, 30 * HOUR_MS)]}
    assert find_duplicates([sighting(1, 0), sighting(2, 1)], known) == {2: First(1, 0)}


def test_other_ids_are_other_events() -> None:
    assert find_duplicates([sighting(1, 0, "a"), sighting(2, 0, "b")], {}) == {}


def test_a_clock_that_steps_back_makes_nothing_new() -> None:
    assert find_duplicates([sighting(1, 5), sighting(2, 4)], {}).keys() == {2}
