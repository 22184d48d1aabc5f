"""Rows that are inserted together, and the offsets to commit after them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import TopicPartition

from projections.writer.rows import Row

MAX_ROWS = 10_000
"""Measured: fewer rows an insert cost throughput, more gain little."""

MAX_BYTES = 8_388_608
"""8 MiB: at most two batches exist, and the engine holds a multiple of what it inserts."""

MAX_AGE_S = 1.0
"""Under a steady flow, a row waits no longer: each insert makes a part per table that has to be merged."""


class Place(NamedTuple):
    """Where a record stands.

    Attributes:
        stream: the stream's name, without the prefix.
        appended_ms: epoch milliseconds at which the broker had it.
    """

    source: TopicPartition
    stream: str
    offset: int
    appended_ms: int


class Entry(NamedTuple):
    """A row and the record that it came from."""

    place: Place
    json: bytes


class Batch:
    """Collects rows by table.

    Args:
        now_s: monotonic seconds.
    """

    def __init__(self, now_s: float) -> None:
        self.tables: dict[str, list[Entry]] = defaultdict(list)
        self.offsets: dict[TopicPartition, int] = {}
        self.rows = 0
        self.bytes = 0
        self._made_s = now_s

    def __bool__(self) -> bool:
        return bool(self.offsets)

    def add(self, place: Place, rows: Iterable[Row], now_s: float) -> None:
        """Takes the rows of one record, of which there may be none."""
        if not self.offsets:
            self._made_s = now_s  # an empty batch has no age
        for row in rows:
            self.tables[row.table].append(Entry(place, row.json))
            self.rows += 1
            self.bytes += len(row.json)
        self.offsets[place.source] = place.offset + 1

    def drop(self, sources: Iterable[TopicPartition]) -> None:
        """Forgets what came from partitions that are somebody else's now; who has them reads it again."""
        gone = set(sources)
        for table, entries in self.tables.items():
            self.tables[table] = [entry for entry in entries if entry.place.source not in gone]
        for source in gone:
            self.offsets.pop(source, None)
        entries = [entry for table in self.tables.values() for entry in table]
        self.rows, self.bytes = len(entries), sum(len(entry.json) for entry in entries)

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.rows >= MAX_ROWS or self.bytes >= MAX_BYTES

    def due(self, now_s: float) -> bool:
        """Whether it has waited long enough."""
        return bool(self) and (self.full or now_s - self._made_s >= MAX_AGE_S)
