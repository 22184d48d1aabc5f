"""The parts of a replay: what is read from the log, what is remembered of it, and which row stays."""

from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from processors.replay.book import ORPHAN_MS, Book
from processors.replay.log_reader import MAX_READ_OVER, LogReader
from processors.replay.remake import Remaker
from projections.query.replay_selection import Selected
from projections.query.replays import chunks_of, keyed_id, same_key
from projections.writer.replay_rows import replay_version
from projections.writer.rows import replay_rows
from rules.retry import end_ms_of
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.config import SubscriptionSpec
from schemas.event import decode_event, encode_event
from schemas.ids import new_id
from schemas.replay import (
    CHUNK_ITEMS,
    COPIED,
    Cancel,
    Chunk,
    Destination,
    Item,
    Replay,
    ReplayRecord,
    ReplayState,
    encode_copy,
    encode_replay_record,
)
from schemas.retry import RetrySpec
from schemas.stored import Record
from schemas.streams import EVENTS, REPLAYS, StreamNames
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import expire
from tests.projections_fixture import make_event


@dataclass(frozen=True)
class Stored:
    """A record as Kafka gives it."""

    offset: int
    value: bytes | None
    timestamp: int = 0
    partition: int = 0
    headers: Any = ()
    key: bytes | None = None


def a_replay(replay_id: str, **changes: Any) -> Replay:
    plain: dict[str, Any] = {"asked": {}, "requested_by": "admin", "rate_per_s": 9, "total": 2, "items": 2}
    return Replay(replay_id=replay_id, **{**plain, "updated_ms": 1, **changes})


def story(replay_id: str) -> list[ReplayRecord]:
    """Everything that is ever said of a replay, in order."""
    chunks = [Chunk(replay_id=replay_id, destinations=[], items=[Item(0, n, "e", 0)]) for n in range(2)]
    running = a_replay(replay_id, state=ReplayState.RUNNING, position=1)
    done = a_replay(replay_id, state=ReplayState.DONE, position=2)
    return [
        *chunks,
        a_replay(replay_id),
        running,
        Cancel(replay_id=replay_id, requested_by="a", at_ms=1),
        done,
        running,
    ]


@given(st.lists(st.sampled_from("abc"), max_size=30), st.data())
def test_a_worker_that_starts_where_the_last_one_committed_goes_on_with_the_same_replays(
    turns: list[str], data: st.DataObject
) -> None:
    stories = {name: iter(story(name)) for name in "abc"}
    said = [record for name in turns if (record := next(stories[name], None))]
    log = [Stored(offset, encode_replay_record(record)) for offset, record in enumerate(said)]
    first, second = Book(), Book()
    seen = data.draw(st.integers(0, len(log)))
    for stored in log[:seen]:
        first.apply(stored)
    for stored in log[first.to_commit(now_ms=0) :]:
        second.apply(stored)
    for stored in log[seen:]:
        first.apply(stored)
    assert {name: entry for name, entry in second.entries.items() if entry.whole} == {
        name: entry for name, entry in first.entries.items() if entry.whole
    }


def test_of_two_requests_with_one_key_the_first_that_is_stored_counts_with_its_own_chunks() -> None:
    book = Book()
    first = [Chunk(replay_id="k", destinations=[], items=[Item(0, n, "e", 0)], choice="one") for n in range(2)]
    second = [Chunk(replay_id="k", destinations=[], items=[Item(0, n, "e", 0)], choice="two") for n in range(3)]
    mixed: list[ReplayRecord] = [second[0], first[0], second[1], first[1]]
    asked: list[ReplayRecord] = [a_replay("k", choice="one"), second[2], a_replay("k", items=3, total=3, choice="two")]
    for offset, record in enumerate([*mixed, *asked]):
        book.apply(Stored(offset, encode_replay_record(record)))
    entry = book.entries["k"]
    assert entry.whole
    assert entry.chunks == [(1, 1), (3, 1)]
    assert entry.replay is not None
    assert entry.replay.choice == "one"


def test_a_replay_whose_chunks_are_gone_can_be_ended_and_one_that_a_zombie_tells_of_cannot() -> None:
    book = Book()
    book.apply(Stored(9, encode_replay_record(a_replay("a"))))
    book.apply(Stored(10, encode_replay_record(a_replay("b", state=ReplayState.RUNNING, position=1))))
    assert [(name, entry.broken, entry.whole) for name, entry in book.entries.items()] == [
        ("a", True, False),
        ("b", False, False),
    ]


def test_the_copy_of_an_event_says_nothing_of_a_replay_and_is_the_event() -> None:
    event = make_event(body=b"\xff\x00 any bytes", traceparent="00-1-2-03")
    stored: Any = Stored(5, event.body, headers=encode_copy(event))
    book = Book()
    book.apply(stored)
    assert (book.entries, book.position) == ({}, 6)
    assert replay_rows(stored) == []
    assert replace(decode_event(stored.value, stored.headers), extra=()) == event
    large = make_event(body=b"x" * 100_000)
    copied: Any = Stored(5, large.body, headers=encode_copy(large))
    remaker = Remaker(a_replay(new_id()), lambda _: subscription(), 4, 99)
    (made,), _ = remaker.make(Item(COPIED, 5, large.event_id, 0), Destination("billing"), copied)
    assert (made.body, made.body_ref) == (large.body, None)  # nobody else keeps it
    (made,), _ = remaker.make(Item(0, 5, large.event_id, 0), Destination("billing"), copied)
    assert (made.body, made.body_ref is None) == (b"", False)


def test_a_copy_that_fits_into_its_stream_but_not_into_a_delivery_is_skipped_and_ends_no_worker() -> None:
    event = make_event(topic_id="orders", event_type="push", request_headers=(), content_type="", body=b"")
    room = REPLAYS.max_record_bytes - 2_048 - len(new_id()) - size_of_headers(encode_copy(event))
    full = replace(event, body=b"x" * room)
    assert Outgoing(REPLAYS, full.body, new_id().encode(), encode_copy(full)).fits
    remaker = Remaker(a_replay(new_id()), lambda _: subscription(), 4, 99)
    copied: Any = Stored(5, full.body, headers=encode_copy(full))
    assert remaker.make(Item(COPIED, 5, full.event_id, 0), Destination("billing"), copied) == ([], "too_large")


def size_of_headers(headers: list[tuple[str, bytes]]) -> int:
    return sum(len(name) + len(raw) for name, raw in headers)


def test_an_idempotency_key_makes_the_same_id_within_a_minute_and_is_known_again_after_it() -> None:
    at_ms = 1_795_542_652_488
    begin_ms = at_ms // 60_000 * 60_000
    assert keyed_id("k", begin_ms) == keyed_id("k", begin_ms + 59_999)
    assert keyed_id("k", begin_ms) != keyed_id("k", begin_ms + 60_000)
    assert same_key(keyed_id("k", 0), keyed_id("k", at_ms))
    assert not same_key(keyed_id("k", at_ms), keyed_id("other", at_ms))


def test_chunks_without_a_replay_are_forgotten_after_a_while_and_what_cannot_be_read_is_passed_over() -> None:
    book = Book()
    book.apply(Stored(5, encode_replay_record(story("a")[0])))
    book.apply(Stored(6, b"not a record"))
    assert book.to_commit(now_ms=ORPHAN_MS - 1) == 5
    assert book.to_commit(now_ms=ORPHAN_MS) == 7


def test_what_is_said_of_a_replay_that_has_ended_begins_nothing() -> None:
    book = Book()
    for offset, record in enumerate(story("a")):
        book.apply(Stored(offset, encode_replay_record(record)))
    assert book.entries == {}
    late = Book()
    late.apply(Stored(9, encode_replay_record(a_replay("a", state=ReplayState.RUNNING, position=1))))
    assert not late.entries["a"].whole


STATES = st.sampled_from(list(ReplayState))


@given(STATES, STATES, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 2**40 - 1))
def test_the_row_of_a_replay_only_moves_forward(
    left: ReplayState, right: ReplayState, less: int, more: int, offset: int
) -> None:
    ranks = [ReplayState.PENDING, ReplayState.RUNNING, ReplayState.CANCELLED, ReplayState.DONE]
    one, two = a_replay("r", state=left, position=less), a_replay("r", state=right, position=more)
    in_words = (ranks.index(left), less) < (ranks.index(right), more)
    assert (replay_version(one, offset) < replay_version(two, offset)) == in_words
    assert replay_version(two, offset) < 2**64


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"])), max_size=50), st.integers(0, 3))
def test_chunks_hold_every_item_in_order(places: list[tuple[int, str]], thousands: int) -> None:
    selected = [Selected(part, at, f"e{at}", name, 7) for at, (part, name) in enumerate(places * (1 + 20 * thousands))]
    chunks = list(chunks_of("r", selected))
    found = [(item, chunk.destinations[item.destination]) for chunk in chunks for item in chunk.items]
    assert found == [
        (item, Destination(one.subscription_id, 7))
        for one, (item, _) in zip(selected, found, strict=True)
        if (item.partition, item.offset, item.event_id) == (one.partition, one.offset, one.event_id)
    ]
    assert all(0 < len(chunk.items) <= CHUNK_ITEMS for chunk in chunks)


def test_the_age_of_a_delivery_counts_from_when_a_slow_replay_got_to_it() -> None:
    assert end_ms_of(1_000, "", RetrySpec(max_age_s=1), released_ms=9_000) == 10_000
    assert end_ms_of(9_000, "", RetrySpec(max_age_s=1), released_ms=1_000) == 10_000


def subscription(generation: int = 7, **changes: Any) -> Record[SubscriptionSpec]:
    spec = SubscriptionSpec(**{"id": "billing", "topic_id": "orders", "target_url": "http://h/", **changes})
    return Record(spec, generation, generation, "", "")


@pytest.mark.parametrize(
    ("now", "event_id", "generation", "reason"),
    [
        (subscription(), "", 7, ""),
        (subscription(), "", -1, ""),
        (subscription(topic_id="*"), "", 7, ""),
        (subscription(8), "", 7, "subscription_recreated"),
        (None, "", -1, "subscription_deleted"),
        (subscription(topic_id="refunds"), "", 7, "topic"),
        (subscription(event_types=["refund.*"]), "", 7, "event_type"),
        (subscription(is_active=False), "", 7, "subscription_inactive"),
        (subscription(), "another", 7, "event_other"),
    ],
)
def test_an_item_makes_the_delivery_that_it_would_make_now_or_says_why_not(
    now: Record[SubscriptionSpec] | None, event_id: str, generation: int, reason: str
) -> None:
    event = make_event()
    stored: Any = Stored(3, event.body, headers=encode_event(event))
    item = Item(0, 3, event_id or event.event_id, 0)
    destination = Destination("billing", generation)
    replay = a_replay(new_id(), new_id=True)
    made, said = Remaker(replay, lambda _: now, 4, 99).make(item, destination, stored)
    assert said == reason
    if reason:
        assert made == []
        return
    again, _ = Remaker(replay, lambda _: now, 4, 100).make(item, destination, stored)
    assert again == [replace(made[0], released_ms=100)]  # a part that is done twice makes the same deliveries
    assert (made[0].replay_id, made[0].webhook_id) == (replay.replay_id, made[0].delivery_id)
    other = a_replay(new_id())
    assert Remaker(other, lambda _: now, 4, 99).make(item, destination, stored)[0][0].delivery_id != made[0].delivery_id


def test_an_item_without_its_record_or_with_one_that_is_no_event_says_so() -> None:
    remaker = Remaker(a_replay("r"), lambda _: subscription(), 4, 99)
    assert remaker.make(Item(0, 3, "e", 0), Destination("billing"), None) == ([], "event_expired")
    unreadable: Any = Stored(3, b"")
    assert remaker.make(Item(0, 3, "e", 0), Destination("billing"), unreadable) == ([], "event_unreadable")


@pytest.mark.stack
async def test_records_are_found_by_their_offset_and_those_that_are_gone_are_told(kafka: RunningKafka) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=1)
    names = StreamNames(settings.kafka_prefix)
    await create_streams(settings)
    appender = Appender(settings.bootstrap, names)
    await appender.start()
    last = 3 * MAX_READ_OVER
    await appender.append_all([Outgoing(EVENTS, b"%d" % number, None, partition=0) for number in range(last + 1)])
    await appender.stop()
    place = TopicPartition(names(EVENTS), 0)
    await expire(settings.bootstrap, place, 5)
    wanted = [0, 4, 5, 5, 6, 40, 2 * MAX_READ_OVER, last, last, last + 1, last + 900]
    async with LogReader(settings.bootstrap) as reader:
        for _ in range(2):  # the second time from behind
            found = [record and record.value async for record in reader.read(place, wanted)]
            assert found == [None, None, *(b"%d" % offset for offset in wanted[2:-2]), None, None]
