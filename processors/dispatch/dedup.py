"""Which events were sent before, exact over 24 hours, whoever had their partition then.

The decision (`rules/dedup.py`) depends on the log alone, so every worker that dispatches an event comes to the same
one, as long as it knows the first ones of the 24 hours before. A partition's are in its dispatch records: whoever gets
the partition reads there what it does not have yet. What it has reached when it begins is complete for all events that
were committed, because their dispatch records were stored before; the others it decides itself, from there on.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from processors.dispatch.firsts import Firsts, Mark, is_broken
from processors.dispatch.history import DispatchHistory
from rules.dedup import WINDOW_MS, First, Sighting, find_duplicates
from schemas.dispatch import decode_dispatch

log = structlog.get_logger(__name__)

SLACK_MS = 3_600_000
"""How far brokers' clocks may lie apart, or step back: ids are kept, and dispatches read, for so much longer."""

_ERROR_PAUSE_S = 0.5


class Deduplicator:
    """The first ones of every partition that this worker has or had.

    Args:
        bootstrap: `host:port`, comma separated.
        kafka_topic: of the dispatches stream.
        folder: for what is kept on disk.
    """

    def __init__(self, bootstrap: str, kafka_topic: str, folder: Path) -> None:
        self._bootstrap = bootstrap
        self._kafka_topic = kafka_topic
        self._folder = folder
        self._firsts: dict[int, Firsts] = {}
        self._loaded: dict[int, int] = {}

    @property
    def entries(self) -> int:
        """How many first ones are on disk."""
        return sum(firsts.count for firsts in self._firsts.values())

    async def load(self, partition: int, assignment: int, first_ms: int, still: Callable[[], bool]) -> None:
        """Makes sure that everything is known that decides about the events of an assignment.

        Args:
            partition: the partition number.
            assignment: the number of the assignment; what was loaded in it is not loaded again.
            first_ms: when the first of the events was appended, epoch milliseconds.
            still: whether the partition is still ours; else it ends early.
        """
        since_ms = first_ms - WINDOW_MS
        while still() and not self._complete(partition, assignment, since_ms):
            try:
                await self._catch_up(partition, since_ms, still)
            except KafkaError as error:
                log.warning("dispatches_read_failed", partition=partition, error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)
            else:
                self._loaded[partition] = assignment

    def find(self, partition: int, sightings: Sequence[Sighting]) -> dict[int, First]:
        """The first one of each event that was sent before, by the event's offset."""
        with self._rebuilt_when_broken(partition) as firsts:
            return find_duplicates(sightings, firsts.known([sighting.hash for sighting in sightings]))

    def remember(
        self, partition: int, firsts: Iterable[Sighting], stored: Sequence[RecordMetadata], oldest_ms: int
    ) -> None:
        """Keeps first ones, after their dispatch records are stored.

        Args:
            partition: the partition number.
            firsts: the events of a batch that are no repetitions.
            stored: where the dispatch records of the batch stand.
            oldest_ms: when the first event of the batch was appended.
        """
        with self._rebuilt_when_broken(partition) as kept:
            mark = kept.mark
            if [record.offset for record in stored] == list(range(mark.position, mark.position + len(stored))):
                mark = Mark(stored[-1].offset + 1, stored[-1].timestamp)
            else:
                # Another worker writes too, and it may be the owner, and we the one that lost the partition unawares.
                # What stands between must be known when it comes back: it is read before the next batch.
                self._loaded.pop(partition, None)
            kept.add(firsts, mark, oldest_ms - WINDOW_MS - SLACK_MS)

    def close(self) -> None:
        """Lets all files go."""
        for firsts in self._firsts.values():
            firsts.close()
        self._firsts.clear()
        self._loaded.clear()

    def _complete(self, partition: int, assignment: int, since_ms: int) -> bool:
        return self._loaded.get(partition) == assignment and self._firsts[partition].floor_ms <= since_ms

    async def _catch_up(self, partition: int, since_ms: int, still: Callable[[], bool]) -> None:
        began_s, read = time.monotonic(), 0
        async with DispatchHistory.reading(self._bootstrap, self._kafka_topic, partition) as history:
            with self._rebuilt_when_broken(partition) as firsts:
                floor_ms = since_ms - SLACK_MS
                if firsts.floor_ms > since_ms or not await history.has(firsts.mark):
                    firsts.reset(floor_ms)
                start = max(firsts.mark.position, await history.since(floor_ms - SLACK_MS))
                if start > firsts.mark.position:
                    firsts.floor_ms = max(firsts.floor_ms, floor_ms)
                async for records in history.records(start):
                    if not still():
                        return
                    read += len(records)
                    firsts.add(_first_ones(records), Mark(records[-1].offset + 1, records[-1].timestamp))
        seconds = round(time.monotonic() - began_s, 3)
        log.info("dedup_loaded", partition=partition, start=start, read=read, kept=firsts.count, seconds=seconds)

    @contextmanager
    def _rebuilt_when_broken(self, partition: int) -> Iterator[Firsts]:
        """The partition's first ones; a file that cannot be read goes, and the worker ends and makes it anew."""
        firsts = self._firsts.get(partition)
        if firsts is None:
            firsts = self._firsts[partition] = Firsts.of(self._folder, f"{self._kafka_topic}-{partition}")
        try:
            yield firsts
        except sqlite3.DatabaseError as error:
            if is_broken(error):
                firsts.discard()
                del self._firsts[partition]
                self._loaded.pop(partition, None)
            raise


def _first_ones(records: Iterable[ConsumerRecord]) -> Iterator[Sighting]:
    for record in records:
        try:
            dispatch = decode_dispatch(record.value)
            key = bytes.fromhex(dispatch.dedup_hash)
        except ValueError:
            continue  # no dispatch record: the projections record it as an offender
        if key and not dispatch.duplicate:
            yield Sighting(key, dispatch.event_offset, dispatch.appended_ms)
