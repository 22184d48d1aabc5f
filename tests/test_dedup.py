"""Which events are repetitions, whatever order their batches are dispatched in and whatever crashes between."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.recent import MAX_RECENT, RecentIds
from processors.dispatch.reading import Reading
from rules.dedup import WINDOW_MS, First, Sighting, find_duplicates
from rules.made_delivery import MAX_CARRIED_BYTES
from schemas.delivery import BodyRef
from schemas.event import Event, encode_event
from schemas.streams import MAX_RECORD_BYTES

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
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from([-1, 0, 1, 6, 12, 23, 24]), st.sampled_from([b"a", b"b", b"c"])), max_size=20
        )
    )
    hours = accumulate(step for step, _ in steps)
    return [Sighting(key, n, (24 + at) * HOUR_MS) for n, (at, (_, key)) in enumerate(zip(hours, steps, strict=True))]


class Run(NamedTuple):
    """A batch, what its worker stored of it before the crash, from which end, and what was committed of a whole one."""

    size: int
    stored: int
    backwards: bool
    committed: int


RUNS = st.lists(
    st.builds(Run, *(st.integers(1, 12), st.integers(0, 12), st.booleans(), st.integers(0, 12))), max_size=8
)


@given(logs(), RUNS)
def test_exactly_the_first_of_24_hours_counts_through_any_batches_crashes_and_owners(
    log: list[Sighting], runs: list[Run]
) -> None:
    expected = naive(log)
    stream: list[Sighting] = []  # the dispatch records of first ones
    committed = 0
    for run in [*runs, Run(len(log), len(log), backwards=False, committed=len(log))]:
        batch = log[committed : committed + run.size]
        duplicates = find_duplicates(batch, known_of(stream))
        assert {offset: first.offset for offset, first in duplicates.items()} == {
            event.offset: expected[event.offset] for event in batch if event.offset in expected
        }
        # A crash leaves any part of the records, a zombie's come late and twice; only what is whole is committed.
        firsts = [event for event in batch if event.offset not in duplicates]
        stream += (firsts[::-1] if run.backwards else firsts)[: run.stored]
        if run.stored >= len(firsts):
            committed += min(len(batch), run.committed)
    assert committed == len(log)


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


EVENT = Event(
    event_id="e1",
    topic_id="orders",
    source_id="shop",
    event_type="order.created",
    received_ms=1_000,
    body=b"{}",
    dedup_id="id-1",
)


def read(event: Event, key: bytes | None = b"id-1", **changes: object) -> Reading:
    """The event, as it is read from its stream at offset 7."""
    headers = [(name, value) for name, value in encode_event(event) if name not in changes]
    return Reading.of(ConsumerRecord("events", 3, 7, 2_000, 1, key, event.body, None, 0, 0, tuple(headers)))


def test_an_event_is_seen_with_the_brokers_time_and_place() -> None:
    seen = read(EVENT).sighting
    assert seen
    assert (seen.offset, seen.at_ms, len(seen.hash)) == (7, 2_000, 16)


def test_the_id_counts_with_its_topic_and_the_key_of_its_record() -> None:
    others = [
        read(replace(EVENT, topic_id="refunds")),
        read(replace(EVENT, dedup_id="id-2")),
        read(EVENT, b"k"),
        read(EVENT, None),
    ]
    hashes = {reading.sighting.hash for reading in [read(EVENT), *others] if reading.sighting}
    assert len(hashes) == 1 + len(others)
    assert read(replace(EVENT, event_id="e2", body=b"[]")).sighting == read(EVENT).sighting


def test_what_cannot_be_delivered_or_has_no_id_is_no_first_one() -> None:
    large = read(replace(EVENT, content_type="x" * MAX_CARRIED_BYTES))
    unreadable = read(EVENT, ce_id="left out")
    assert (large.sighting, unreadable.sighting, read(replace(EVENT, dedup_id="")).sighting) == (None, None, None)
    assert large.error
    assert unreadable.error


def test_a_body_as_large_as_a_record_is_left_where_it_is() -> None:
    reading = read(replace(EVENT, body=bytes(MAX_RECORD_BYTES)))
    assert reading.error == ""
    assert reading.body_ref == BodyRef.of_large(bytes(MAX_RECORD_BYTES), 3, 7)
    assert read(EVENT).body_ref is None


def test_ingest_tells_a_sender_that_repeats_itself_and_no_other() -> None:
    recent = RecentIds()
    later = replace(EVENT, received_ms=EVENT.received_ms + WINDOW_MS)
    assert not recent.repeats(EVENT, "k")
    assert recent.repeats(EVENT, "k")
    assert not recent.repeats(EVENT, "another ordering key")
    assert not recent.repeats(replace(EVENT, topic_id="refunds"), "k")
    assert not recent.repeats(later, "k")
    assert recent.repeats(later, "k")
    assert not recent.repeats(replace(EVENT, dedup_id=""), "k")
    assert not recent.repeats(replace(EVENT, dedup_id=""), "k")


def test_what_ingest_remembers_is_bounded() -> None:
    recent = RecentIds()
    for number in range(MAX_RECENT + 1):
        recent.repeats(replace(EVENT, dedup_id=f"id-{number}"), "k")
    assert recent.repeats(replace(EVENT, dedup_id="id-1"), "k")
    assert not recent.repeats(replace(EVENT, dedup_id="id-0"), "k")
