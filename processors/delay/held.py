"""What the delay service holds in memory of one partition: records whose time will come, and what left it."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import ConsumerRecord, TopicPartition


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
        finished: the offset below which everything is stored elsewhere; `None` before the first record.
        committed: the offset that was committed last.
    """

    tp: TopicPartition
    entries: deque[Entry] = field(default_factory=deque)
    waiting: int = 0
    leaving: int = 0
    finished: int | None = None
    committed: int | None = None
    paused: bool = False
    closed: bool = False

    def add(self, entry: Entry) -> None:
        """Takes the next record."""
        if self.finished is None:
            self.finished = self.committed = entry.record.offset
        self.entries.append(entry)
        self.waiting += 1

    def releasing(self, entry: Entry) -> None:
        """One record starts to leave."""
        entry.leaving = True
        self.waiting -= 1
        self.leaving += 1

    def released(self, entry: Entry) -> None:
        """One record is stored elsewhere."""
        entry.done = True
        self.leaving -= 1
        while self.entries and self.entries[0].done:
            self.finished = self.entries.popleft().record.offset + 1

    def wants(self, low_water: int, max_leaving: int) -> bool:
        """Whether more is to be fetched."""
        return self.waiting <= low_water and self.leaving < max_leaving

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
