"""One replay from where it stands to its end."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
import structlog
from aiokafka import ConsumerRecord, TopicPartition

from processors.replay.log_reader import LogReader
from processors.replay.remake import Remaker, outgoing
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.tables import ConfigTables
from schemas.headers import MalformedRecordError
from schemas.replay import (
    COPIED,
    Chunk,
    Destination,
    Item,
    Replay,
    ReplayState,
    decode_replay_record,
    encode_replay_record,
)
from schemas.streams import EVENTS, REPLAYS, StreamNames

log = structlog.get_logger(__name__)

BATCHES_PER_S = 10
"""How often something is released at a high rate: endpoints see a steady flow, and the producer full requests."""

MAX_BATCH_BYTES = 8_388_608
"""Bodies held at a time; four of the largest."""

REPORT_S = 1.0
"""Between two records of how far it is. What was made since the last one is made again after a crash, with the same
ids, which the deliver agent drops."""

CHUNK_EXPIRED = "replay_expired"

MAX_NAMED = 100
"""Skipped events that a run names in the log; all of them are counted."""

Found = tuple[Item, Destination, ConsumerRecord | None]


@dataclass(frozen=True, slots=True)
class RunParts:
    """What every run works with."""

    settings: Settings
    names: StreamNames
    tables: ConfigTables
    appender: Appender
    now_ms: Callable[[], int]


class Run:
    """Makes the deliveries of one replay, and says how far it is.

    Args:
        parts: what it works with.
        replay: how far it is.
        chunks: offset and number of items of each chunk.
        partition: where these stand in the replays stream.
        still: whether it is still ours to go on with.
    """

    def __init__(
        self,
        parts: RunParts,
        replay: Replay,
        chunks: Sequence[tuple[int, int]],
        partition: int,
        still: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._replay = replay
        self._chunks = chunks
        self._place = TopicPartition(parts.names(REPLAYS), partition)
        self._still = still
        self._reported_s = 0.0
        self._next_s = time.monotonic()
        self._named = 0
        self.cancelled = asyncio.Event()

    async def run(self) -> None:
        """Returns when the replay has ended, and that is stored.

        Raises:
            NotStoredError: it is not ours any more.
        """
        replay = self._replay
        log.info("replay_runs", replay_id=replay.replay_id, position=replay.position, items=replay.items)
        async with LogReader(self._parts.settings.bootstrap) as reader:
            first = 0
            for offset, count in self._chunks:
                if not self.cancelled.is_set() and first + count > self._replay.position:
                    await self._chunk(reader, offset, self._replay.position - first, count)
                first += count
        if not self.cancelled.is_set():  # chunks that are not there any more
            self._count(sent=0, skipped=Counter({CHUNK_EXPIRED: replay.items - self._replay.position}))
        ended = ReplayState.CANCELLED if self._replay.position < replay.items else ReplayState.DONE
        await self._report(ended)
        log.info("replay_ended", replay_id=replay.replay_id, state=ended, sent=self._replay.sent)

    async def _chunk(self, reader: LogReader, offset: int, begin: int, count: int) -> None:
        (chunk,) = [self._read_chunk(record) async for record in reader.read(self._place, [offset])]
        if chunk is None:  # older than the stream keeps
            self._count(sent=0, skipped=Counter({CHUNK_EXPIRED: count - begin}))
            return
        batch: list[Found] = []
        size_bytes, most = 0, max(1, self._replay.rate_per_s // BATCHES_PER_S)
        async for found in self._find(reader, chunk, begin):
            batch.append(found)
            size_bytes += len(found[2].value or b"") if found[2] else 0
            if len(batch) >= most or size_bytes >= MAX_BATCH_BYTES:
                await self._release(batch)
                batch, size_bytes = [], 0
            if self.cancelled.is_set():
                return
        await self._release(batch)

    def _read_chunk(self, record: ConsumerRecord | None) -> Chunk | None:
        if record is None:
            return None
        chunk = decode_replay_record(record.value)
        if not isinstance(chunk, Chunk) or chunk.replay_id != self._replay.replay_id:
            raise MalformedRecordError(f"no chunk of {self._replay.replay_id} at {record.offset}")
        return chunk

    async def _find(self, reader: LogReader, chunk: Chunk, begin: int) -> AsyncIterator[Found]:
        """Each item with what stands where its event should."""
        for partition, some in groupby(chunk.items[begin:], key=lambda item: item.partition):
            items = list(some)
            copied = partition == COPIED
            place = self._place if copied else TopicPartition(self._parts.names(EVENTS), partition)
            if partition >= self._parts.settings.partitions:  # of another cluster, which the tables have outlived
                for item in items:
                    yield item, chunk.destinations[item.destination], None
                continue
            numbers = iter(items)
            async for record in reader.read(place, [item.offset for item in items]):
                item = next(numbers)
                yield item, chunk.destinations[item.destination], record

    async def _release(self, batch: list[Found]) -> None:
        if not batch or not await self._turn(len(batch)):
            return
        parts = self._parts
        await parts.tables.catch_up()  # a subscription that was made before it was asked for is there
        parts.tables.require_open()
        remaker = Remaker(
            self._replay, parts.tables.subscription, parts.tables.position("subscriptions"), parts.now_ms()
        )
        made = [remaker.make(*found) for found in batch]
        deliveries = [delivery for some, _ in made for delivery in some]
        await parts.appender.append_all([outgoing(one) for one in deliveries], still=self._still)
        self._name_skipped((item.event_id, reason) for (item, _, _), (_, reason) in zip(batch, made, strict=True))
        skipped = Counter(reason for _, reason in made if reason)
        self._count(sent=len(batch) - skipped.total(), skipped=skipped)
        if time.monotonic() - self._reported_s >= REPORT_S:
            await self._report(ReplayState.RUNNING)

    def _name_skipped(self, fates: Iterable[tuple[str, str]]) -> None:
        for event_id, reason in fates:
            if reason and self._named < MAX_NAMED:
                self._named += 1
                log.info("replay_skipped", replay_id=self._replay.replay_id, event_id=event_id, reason=reason)

    async def _turn(self, count: int) -> bool:
        """Waits until so many may go; whether the replay still goes on then."""
        now_s = time.monotonic()
        self._next_s = max(self._next_s, now_s - 1 / BATCHES_PER_S)  # what a pause missed is not made up for
        wait_s, self._next_s = self._next_s - now_s, self._next_s + count / self._replay.rate_per_s
        if wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self.cancelled.wait()
            except TimeoutError:
                return True
        return not self.cancelled.is_set()

    def _count(self, sent: int, skipped: Counter[str]) -> None:
        replay = self._replay
        self._replay = msgspec.structs.replace(
            replay,
            position=replay.position + sent + skipped.total(),
            sent=replay.sent + sent,
            skipped=dict(Counter(replay.skipped) + skipped),
        )

    async def _report(self, state: ReplayState) -> None:
        self._reported_s = time.monotonic()
        now = msgspec.structs.replace(self._replay, state=state, updated_ms=self._parts.now_ms())
        record = Outgoing(REPLAYS, encode_replay_record(now), now.replay_id.encode(), partition=self._place.partition)
        await self._parts.appender.append_all([record], still=self._still)
