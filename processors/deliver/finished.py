"""Which attempts are finished: in memory, refilled from the attempts stream at each assignment.

`attempts[p]` is written for `deliveries[p]` only. A record is an outcome, or tells that a delivery was put aside, or is
a lease: "my partition was taken while this request was on the wire, wait for it". An outcome is stored after what
follows from it (retry, park or dead letter), so what is finished here needs nothing any more, and is acknowledged
unsent when it is read again.

A crash between the two leaves a fork: the attempt is made again, and what followed from the first one travels on by
itself. A delivery that has ended cuts every other branch of it, whatever its attempt; branches that are here at
the same time wait for one another (`agent.py`).

`load` runs before the first request of an assignment. By then the group has made every live worker finish or lease
its work. A worker that was silent beyond its session may still write, so the partition is watched for a while after.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from processors.deliver.job import Key, ParkKey
from runtime.broken_connections import lives
from schemas.attempt import AttemptKind, decode_attempt
from schemas.headers import MalformedRecordError

log = structlog.get_logger(__name__)

MARGIN_MS = 60_000
"""Clocks and commits may lie this far apart from the record that is read first."""

MIN_RECORDS = 20_000
"""Read back at least: after a long outage the dispatch of old events is repeated, and time alone is too short."""

MAX_KEYS = 50_000
"""Kept for each partition: more than what can be unfinished at once; about 150 bytes each."""

MAX_ENDS = 50_000
"""Deliveries that have ended, kept for each partition; about 130 bytes each. A branch is cut so long as fewer have
ended since: for four minutes at 200 a second in one partition, which is more than a worker makes, for an hour at a
hundred a second in eight, for days where little happens. That covers the first delays of a schedule, by which most
branches come back. What comes later is a repeat with the same webhook-id: at most as many as were in flight at a crash.
After a restart it is what `load` reads: MIN_RECORDS at least."""

MAX_LEASE_MS = 62_000
"""From the broker's time of its record: the longest timeout and some; another worker's clock may be anywhere."""

WATCH_S = 60.0
_ERROR_PAUSE_S = 0.5

ItemT = TypeVar("ItemT")


class _Newest(Generic[ItemT]):
    """So many of what was added last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._there: set[ItemT] = set()
        self._order: deque[ItemT] = deque()

    def __contains__(self, item: ItemT) -> bool:
        return item in self._there

    def add(self, item: ItemT) -> None:
        if item in self._there:
            return
        self._there.add(item)
        self._order.append(item)
        if len(self._order) > self._most:
            self._there.discard(self._order.popleft())


class _Partition:
    """What is known of one partition."""

    def __init__(self) -> None:
        self.finished = _Newest[Key | ParkKey](MAX_KEYS)
        self.ended = _Newest[str](MAX_ENDS)
        self.lease_until_ms: dict[Key, int] = {}
        self.position = 0
        self.watch_until_s = 0.0

    def add(self, key: Key | ParkKey) -> None:
        if len(key) == 2:  # noqa: PLR2004 - an attempt, and not a parking
            self.lease_until_ms.pop(key, None)
        self.finished.add(key)

    def read(self, record: ConsumerRecord) -> None:
        try:
            attempt = decode_attempt(record.value)
        except MalformedRecordError:
            return  # the projections record it as an offender
        key = (attempt.delivery_id, attempt.attempt)
        if attempt.ends:
            self.ended.add(attempt.delivery_id)
        if attempt.kind is AttemptKind.PARKED:
            self.add((*key, attempt.parks))
        elif attempt.kind is not AttemptKind.LEASE:
            self.add(key)
        elif key not in self.finished:
            self.lease_until_ms[key] = min(attempt.until_ms, record.timestamp + MAX_LEASE_MS)


class FinishedAttempts:
    """The finished attempts of every partition that this worker has or had.

    Args:
        bootstrap: `host:port`, comma separated.
        kafka_topic: of the attempts stream.
        partitions: how many it has.
        monotonic_s: the clock.
    """

    def __init__(
        self,
        bootstrap: str,
        kafka_topic: str,
        partitions: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bootstrap = bootstrap
        self._parts = {number: _Partition() for number in range(partitions)}
        self._topic_partitions = {number: TopicPartition(kafka_topic, number) for number in range(partitions)}
        self._watched: set[int] = set()
        self._moved = asyncio.Event()
        self._monotonic_s = monotonic_s
        self._consumer: AIOKafkaConsumer | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,  # seeks and offset questions wait behind a fetch
            fetch_min_bytes=65_536,  # while it watches, an answer ten times a second is soon enough
        )
        await self._consumer.start()
        self._consumer.assign(list(self._topic_partitions.values()))
        self._consumer.pause(*self._topic_partitions.values())
        self._reader = asyncio.create_task(self._read_for_ever(self._consumer))

    async def stop(self) -> None:
        """Disconnects."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def running(self) -> bool:
        """Whether the reader lives, and the client under it."""
        reads = self._reader is not None and not self._reader.done()
        return reads and self._consumer is not None and lives(self._consumer)

    def has(self, partition: int, key: Key | ParkKey) -> bool:
        """Whether an attempt is finished, or was put aside at that count."""
        return key in self._parts[partition].finished

    def ended(self, partition: int, delivery_id: str) -> bool:
        """Whether a delivery has ended, whatever other attempts of it still come."""
        return delivery_id in self._parts[partition].ended

    def add(self, partition: int, key: Key | ParkKey, *, ends: bool = False) -> None:
        """An attempt is finished, or put aside: what follows is stored.

        Args:
            partition: the partition number.
            key: of the attempt or parking.
            ends: whether the delivery has ended with it.
        """
        self._parts[partition].add(key)
        if ends:
            self._parts[partition].ended.add(key[0])

    def lease_until_ms(self, partition: int, key: Key) -> int:
        """Until when another worker may have it on the wire, epoch milliseconds; 0 when none has."""
        return self._parts[partition].lease_until_ms.get(key, 0)

    async def load(self, partition: int, first_timestamp_ms: int) -> None:
        """Reads what may matter for the records of an assignment.

        Args:
            partition: the partition number.
            first_timestamp_ms: when the first unfinished delivery was stored, epoch milliseconds.
        """
        started_s = self._monotonic_s()
        start, end = await self._bounds(partition, first_timestamp_ms)
        part, consumer = self._parts[partition], self._connected()
        part.position = max(start, part.position)
        consumer.seek(self._topic_partitions[partition], part.position)
        part.watch_until_s = float("inf")
        self._watched.add(partition)
        consumer.resume(self._topic_partitions[partition])
        while part.position < end:
            self._moved.clear()
            await self._moved.wait()
        part.watch_until_s = self._monotonic_s() + WATCH_S
        log.info(
            "finished_attempts_loaded",
            partition=partition,
            start=start,
            end=end,
            seconds=round(self._monotonic_s() - started_s, 3),
        )

    async def _bounds(self, partition: int, first_timestamp_ms: int) -> tuple[int, int]:
        tp, consumer = self._topic_partitions[partition], self._connected()
        since_ms = max(0, first_timestamp_ms - MARGIN_MS)
        while True:
            try:
                end: int = (await consumer.end_offsets([tp]))[tp]
                beginning: int = (await consumer.beginning_offsets([tp]))[tp]
                found = (await consumer.offsets_for_times({tp: since_ms}))[tp]
            except KafkaError as error:
                log.warning("attempt_offsets_unknown", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)
            else:
                by_time: int = found.offset if found else end
                return max(beginning, min(by_time, end - MIN_RECORDS)), end

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the reader of attempts has not started")
        return self._consumer

    async def _read_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            self._stop_watching(consumer)
            if not self._watched:
                await asyncio.sleep(0.05)
                continue
            try:
                batches = await consumer.getmany(timeout_ms=200)
                self._read(batches)
                await self._note_positions(consumer)
            except KafkaError as error:
                log.warning("attempts_read_failed", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)

    def _read(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for tp, records in batches.items():
            part = self._parts[tp.partition]
            for record in records:
                if record.offset >= part.position:
                    part.read(record)

    async def _note_positions(self, consumer: AIOKafkaConsumer) -> None:
        # The consumer's position, not the last record's offset: retention may have removed the end of what load() saw.
        for partition in list(self._watched):  # load() may add one meanwhile
            position = await consumer.position(self._topic_partitions[partition])
            self._parts[partition].position = max(self._parts[partition].position, position)
        self._moved.set()

    def _stop_watching(self, consumer: AIOKafkaConsumer) -> None:
        now_s = self._monotonic_s()
        for partition in [number for number in self._watched if self._parts[number].watch_until_s < now_s]:
            consumer.pause(self._topic_partitions[partition])
            self._watched.discard(partition)
