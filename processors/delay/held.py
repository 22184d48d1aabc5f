"""What the delay service holds in memory of one partition: records whose time will come, and what left it."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import ConsumerRecord, TopicPartition

LOW_WATER = 500
"""Fewer waiting records than this, and the partition is fetched again. The fetch may have to wait half a second behind
one that waits for other partitions: what is held must last so long when all of it is due."""

MAX_LEAVING = 1_000
"""Records on their way to another stream; the partition is not fetched meanwhile."""

MAX_HELD_BYTES = 524_288
"""Of bodies; with more the partition is not fetched. It is LOW_WATER records of a kilobyte, and bounds large ones: a
worker alone with 88 partitions holds at most 44 MiB of them, and what one fetch brings."""


class Unread(NamedTuple):
    """How much of a partition has not left it.

    Attributes:
        in_memory: records that were read.
        position: the offset of the first one that was not.
    """

    in_memory: int
    position: int


@dataclass(slots=True, eq=False)
class Entry:
    """One record of a delay stream.

    Attributes:
        due_ms: epoch milliseconds at which the delivery is due.
        release_ms: epoch milliseconds at which it leaves this stream.
        leaving: whether it was handed over to go there.
        done: whether the stream that it went to has it.
    """

    record: ConsumerRecord
    due_ms: float
    release_ms: float
    leaving: bool = False
    done: bool = False


@dataclass(slots=True, eq=False)
class HeldPartition:
    """One assigned partition of a delay stream.

    Attributes:
        entries: every record that was read and is not committed, in offset order.
        waiting: how many of them are not released yet.
        leaving: how many of them were released and are not stored yet.
        body_bytes: of all bodies that are not stored elsewhere yet.
        finished: the offset below which everything is stored elsewhere; `None` before the first record.
        committed: the offset that was committed last.
        went_on: the offset at which it went on when records were gone; 0 before that.
    """

    tp: TopicPartition
    entries: deque[Entry] = field(default_factory=deque)
    waiting: int = 0
    leaving: int = 0
    body_bytes: int = 0
    finished: int | None = None
    committed: int | None = None
    went_on: int = 0
    paused: bool = False
    closed: bool = False

    def add(self, entry: Entry) -> None:
        """Takes the next record; what is behind a gap brings the place along."""
        self.went_on = 0
        if self.finished is None:
            self.finished = self.committed = entry.record.offset
        self.entries.append(entry)
        self.waiting += 1
        self.body_bytes += len(entry.record.value or b"")

    def releasing(self, entry: Entry) -> None:
        """One record starts to leave."""
        entry.leaving = True
        self.waiting -= 1
        self.leaving += 1

    def released(self, entry: Entry) -> None:
        """One record is stored elsewhere."""
        entry.done = True
        self.leaving -= 1
        self.body_bytes -= len(entry.record.value or b"")
        while self.entries and self.entries[0].done:
            self.finished = self.entries.popleft().record.offset + 1
        self._pass_over()

    def go_on(self, offset: int) -> None:
        """What stood before `offset` and was not read is gone."""
        self.went_on = offset
        self._pass_over()

    def _pass_over(self) -> None:
        if not self.entries and self.went_on:
            self.finished, self.went_on = self.went_on, 0

    def wants_more(self) -> bool:
        """Whether there is room for another fetch."""
        return self.waiting <= LOW_WATER and self.leaving < MAX_LEAVING and self.body_bytes <= MAX_HELD_BYTES

    def held_up_by(self, until_ms: float) -> list[Entry]:
        """What still waits, is due by `until_ms`, and keeps records behind it that have left from being committed."""
        blocking: list[Entry] = []
        candidates: list[Entry] = []
        for entry in self.entries:
            if entry.leaving:
                blocking += candidates
                candidates = []
            elif entry.due_ms <= until_ms:
                candidates.append(entry)
        return blocking

    def to_commit(self) -> int | None:
        """The offset to commit, or `None` when there is nothing new."""
        return self.finished if self.finished != self.committed else None
