"""Whatever was told last, its id leads to the next row: no row is told twice, and none is left out."""

import json
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.query.tail import Tail, TailQuestion, rows_told
from projections.query.tail_place import Place, decode_place, encode_place
from projections.query.tail_rows import is_wanted, rows_of
from runtime.problem import ProblemError
from schemas.attempt import AttemptStatus, encode_attempt
from schemas.event import encode_event
from schemas.headers import Headers
from schemas.streams import ATTEMPTS, EVENTS, StreamNames
from tests.projections_fixture import make_attempt, make_delivery, make_event

STREAMS = (ATTEMPTS.name, EVENTS.name)
PARTITIONS = 2
EVERYTHING = TailQuestion(kinds=["events", "attempts", "deliveries"])


@dataclass(frozen=True)
class Record:
    """A record of a stream."""

    value: bytes | None
    headers: Headers
    partition: int
    offset: int


Log = list[tuple[str, Record]]


def log_of(sources: list[tuple[str, int]]) -> Log:
    """A record for each, in the order in which they are read."""
    offsets = dict.fromkeys([(stream, number) for stream in STREAMS for number in range(PARTITIONS)], 5)
    log: Log = []
    for stream, partition in sources:
        event = make_event()
        attempt = encode_attempt(make_attempt(make_delivery(event), 1, AttemptStatus.SUCCESS))
        of_event = stream == EVENTS.name
        value, headers = (event.body, tuple(encode_event(event))) if of_event else (attempt, ())
        log.append((stream, Record(value, headers, partition, offsets[stream, partition])))
        offsets[stream, partition] += 1
    return log


def told_from(place: Place, log: Log) -> list[tuple[str, str]]:
    """Ids and data of what a watcher is told who begins at a place."""
    told = []
    for stream, record in log:
        if record.offset >= place.offsets[stream][record.partition]:
            for message in rows_told(EVERYTHING, place, stream, record):
                name, kind, data = message.decode().strip().split("\n")
                told.append((name.removeprefix("id: "), f"{kind} {data}"))
    return told


def in_another_order(log: Log, chance: random.Random) -> Log:
    """The same records; those of one partition stay in their order."""
    queues: dict[tuple[str, int], Log] = {}
    for item in log:
        queues.setdefault((item[0], item[1].partition), []).append(item)
    mixed = []
    while queues:
        key = chance.choice(sorted(queues))
        mixed.append(queues[key].pop(0))
        if not queues[key]:
            del queues[key]
    return mixed


def beginning() -> Place:
    return Place({stream: [5] * PARTITIONS for stream in STREAMS})


SOURCES = st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(0, PARTITIONS - 1)), max_size=10)


@given(SOURCES, st.randoms(use_true_random=False))
def test_from_any_id_on_the_rest_is_told_in_whatever_order_partitions_are_read(
    sources: list[tuple[str, int]], chance: random.Random
) -> None:
    log = log_of(sources)
    whole = told_from(beginning(), log)
    assert len(whole) == sum(1 + (stream == ATTEMPTS.name) for stream, _ in log)
    for seen in range(len(whole)):
        shuffled = in_another_order(log, chance)
        place = decode_place(whole[seen][0], STREAMS)
        rest = told_from(place, shuffled)
        assert sorted(data for _, data in [*whole[: seen + 1], *rest]) == sorted(data for _, data in whole)


@given(st.text(max_size=60) | st.dictionaries(st.text(max_size=9), st.integers()).map(json.dumps))
def test_what_is_no_id_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        decode_place(text, STREAMS)
    assert (refused.value.status, refused.value.code) == (400, "last_event_id")


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=4))
def test_an_id_comes_back_as_it_was_or_is_refused(offsets: list[int]) -> None:
    place = Place(dict.fromkeys(STREAMS, offsets), {"events/1": 1})
    if min(offsets, default=0) < 0:
        with pytest.raises(ProblemError):
            decode_place(encode_place(place), STREAMS)
    else:
        assert decode_place(encode_place(place), STREAMS) == place


async def test_a_watcher_is_told_when_kafka_does_not_answer() -> None:
    watched = Tail("127.0.0.1:9", StreamNames("x.")).watch(EVERYTHING, None)
    with pytest.raises(ProblemError) as refused:
        await anext(watched)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "5"})


def test_a_row_is_left_out_that_lacks_what_a_filter_is_about() -> None:
    event = make_event(event_type="order.paid", body=b"\xff")
    record = Record(event.body, tuple(encode_event(event)), 0, 0)
    ((table, row),) = rows_of(EVENTS.name, record)
    assert (table, row["payload_bytes"], "payload" in row) == ("events", 1, False)
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"topic_id": event.topic_id, "event_type": "order.*"}, True),
        ({"event_type": "order"}, False),
        ({"subscription_id": "billing"}, False),
        ({"status": ["FAILED"]}, False),
    ]
    for asked, wanted in cases:
        assert is_wanted(row, TailQuestion(**asked)) == wanted, asked
    assert list(rows_of(EVENTS.name, Record(b"x", (), 0, 0))) == []
