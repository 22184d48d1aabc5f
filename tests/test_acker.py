"""Only a finished prefix may be committed, whatever the order in which records finish."""

import asyncio
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from processors.batchfed.acker import BatchAcker
from processors.batchfed.consumer import Batch

TOPIC = TP("events", 0)


@dataclass
class Consumer:
    """Keeps books of what a consumer is told."""

    start: int | None = 0
    marks: list[tuple[int, int]] = field(default_factory=list)
    rewinds: list[int] = field(default_factory=list)

    def start_of(self, _: TP) -> int | None:
        return self.start

    def mark(self, _: TP, assignment: int, offset: int) -> None:
        self.marks.append((assignment, offset))

    async def rewind(self, _: TP, __: int, offset: int) -> None:
        self.rewinds.append(offset)


@dataclass
class App:
    consumer: Consumer = field(default_factory=Consumer)
    consumer_generation_id: int = 1


def batch(start: int, offsets: list[int]) -> Batch:
    records = Batch(
        ConsumerRecord("events", 0, offset, 0, 0, None, b"", None, 0, 0, ())  # only the offset matters
        for offset in offsets
    )
    records.start = start
    return records


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_what_is_marked_is_always_the_end_of_the_finished_prefix(order: list[int], left_out: set[int]) -> None:
    app = App()
    acker = BatchAcker(app)  # type: ignore[arg-type] # books instead of a consumer
    work = asyncio.run(acker.open(TOPIC, 1, batch(0, list(range(12)))))
    done: set[int] = set()
    for index in order:
        if index in left_out:
            continue
        acker.done(work[index][0])
        done.add(index)
        prefix = next(offset for offset in range(13) if offset not in done)
        assert max((offset for _, offset in app.consumer.marks), default=0) == prefix


def test_holes_that_compaction_left_do_not_hold_the_prefix_back() -> None:
    app = App()
    acker = BatchAcker(app)  # type: ignore[arg-type] # as above
    for token, _ in asyncio.run(acker.open(TOPIC, 1, batch(0, [3, 7, 8]))):
        acker.done(token)
    assert app.consumer.marks[-1] == (1, 9)


def test_a_batch_that_starts_behind_a_hole_is_not_worked_on_and_the_hole_is_read_again() -> None:
    app = App()
    acker = BatchAcker(app)  # type: ignore[arg-type] # as above
    asyncio.run(acker.open(TOPIC, 1, batch(0, [0, 1, 2])))
    assert asyncio.run(acker.open(TOPIC, 1, batch(10, [10, 11]))) == []
    assert app.consumer.rewinds == [3]
    assert len(asyncio.run(acker.open(TOPIC, 1, batch(3, [3, 4])))) == 2


def test_a_batch_of_an_old_assignment_is_not_worked_on() -> None:
    app = App(consumer_generation_id=2)
    acker = BatchAcker(app)  # type: ignore[arg-type] # as above
    assert asyncio.run(acker.open(TOPIC, 1, batch(0, [0, 1]))) == []
    assert app.consumer.rewinds == []


def test_an_acknowledgement_of_an_old_assignment_never_counts_for_a_new_one() -> None:
    app = App()
    acker = BatchAcker(app)  # type: ignore[arg-type] # as above
    old = asyncio.run(acker.open(TOPIC, 1, batch(0, [0, 1, 2])))
    app.consumer_generation_id = 2
    asyncio.run(acker.open(TOPIC, 2, batch(0, [0, 1, 2])))
    for token, _ in old:
        acker.done(token)
    assert app.consumer.marks == []
    assert acker.unfinished() == 3
