"""The loop: read, make rows, insert, then commit. What is not committed is read again, and stored again, identically.

One batch is being inserted, in a thread, while the next one fills; a third never exists.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from projections.writer.batch import Batch
from projections.writer.errors import expired_row
from projections.writer.metrics import WriterMetrics
from projections.writer.records import Records, Revoked
from projections.writer.rows import PROJECTIONS
from projections.writer.store import store
from projections.writer.take import take
from runtime.clickhouse import CLICKHOUSE_ERRORS, Client

log = structlog.get_logger(__name__)

IDLE_MS = 250
"""A batch is inserted when nothing has come for so long: longer than one fetch, so that a steady trickle makes one
insert a second and not five, and short enough that a row of a quiet system is seen within half a second."""

FIRST_RETRY_S = 0.2
LAST_RETRY_S = 10.0
"""How late at most it is noticed that ClickHouse is back."""

KAFKA_PAUSE_S = 0.5
FLUSH_S = 8.0
"""What a stop waits for the last batch; less than the supervisor waits for the process."""

OpenRecords = Callable[[Revoked], Records]


class Writer:
    """Writes every projected stream.

    Args:
        client: a writing client, which this writer's thread has for itself.
        open_records: makes the reader of the streams.
        metrics: where it counts.
        gate: held while a batch is inserted; who holds it instead keeps the writer from inserting.
    """

    def __init__(
        self, client: Client, open_records: OpenRecords, metrics: WriterMetrics, gate: asyncio.Lock | None = None
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._gate = gate or asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="insert")
        self._records = open_records(self._forget)
        self._projections = {projection.stream.name: projection for projection in PROJECTIONS}
        self._batch = Batch(time.monotonic())
        self._storing: asyncio.Task[None] | None = None
        self._storing_bytes = 0
        self._stored: dict[TopicPartition, int] = {}
        self._uncommitted: dict[TopicPartition, int] = {}
        self._stopping = asyncio.Event()
        self.storing_works = True
        metrics.held.set_function(lambda: self._batch.bytes + self._storing_bytes)

    @property
    def reading_works(self) -> bool:
        """Whether it is a member of its group and Kafka answers; while nothing can be stored nothing is asked."""
        return self._records.joined and (self._records.answered or not self.storing_works)

    def stop(self) -> None:
        """Makes `run` store what it has read, and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Writes until it is told to stop, whatever Kafka or ClickHouse do in the meantime."""
        await self._start()
        try:
            while not self._stopping.is_set():
                await self._turn()
        finally:
            await self._finish()

    async def _start(self) -> None:
        while True:
            try:
                await self._records.start()
            except KafkaError as error:
                log.warning("kafka_away", error=repr(error))
                await asyncio.sleep(KAFKA_PAUSE_S)
            else:
                return

    async def _turn(self) -> None:
        try:
            fetched = await self._records.read(IDLE_MS)
        except KafkaError as error:
            log.warning("read_failed", error=repr(error))
            await asyncio.sleep(KAFKA_PAUSE_S)
            return
        self._note_lost()
        for source, records in fetched.items():
            self._take(source, records)
        if self._batch and (not fetched or self._batch.due(time.monotonic())):
            await self._hand_over()
        self._note_lag()

    def _take(self, source: TopicPartition, records: list[ConsumerRecord]) -> None:
        stream = self._records.streams[source.topic]
        projection = self._projections[stream]
        self._stored.setdefault(source, records[0].offset)
        now_s = time.monotonic()
        for record in records:
            if take(self._batch, projection, source, record, now_s):
                log.warning("record_unreadable", stream=stream, place=source, offset=record.offset)
                self._metrics.errors.labels(stream).inc()
        self._metrics.records.labels(stream).inc(len(records))

    def _note_lost(self) -> None:
        for place, beginning in self._records.lost:
            reason = f"the next record to read was {place.offset}, and the first that is left is {beginning}"
            self._batch.add(place, [expired_row(place, reason)], time.monotonic())
            self._batch.offsets[place.source] = beginning
            self._metrics.errors.labels(place.stream).inc()
        self._records.lost.clear()

    async def _hand_over(self) -> None:
        if self._storing is not None:
            if not self._storing.done() and not self._batch.full:
                return  # it goes on filling while the one before is inserted
            await self._settled()
        if not self._stopping.is_set():
            self._storing = asyncio.create_task(self._store(self._batch))
            self._batch = Batch(time.monotonic())

    async def _settled(self) -> None:
        """Waits for the batch that is being inserted, or for the order to stop."""
        if self._storing is None:
            return
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({self._storing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._storing.done():
            self._storing.result()

    async def _store(self, batch: Batch) -> None:
        counts = {table: len(entries) for table, entries in batch.tables.items()}
        self._storing_bytes = batch.bytes
        async with self._gate:
            await self._insert(batch)
        self._storing_bytes = 0
        for table, count in counts.items():
            self._metrics.rows.labels(table).inc(count)
        self._stored.update(batch.offsets)
        self._uncommitted.update(batch.offsets)
        await self._commit()

    async def _insert(self, batch: Batch) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            try:
                with self._metrics.insert_seconds.time():
                    refused = await asyncio.get_running_loop().run_in_executor(self._thread, store, self._client, batch)
            except CLICKHOUSE_ERRORS as error:
                self.storing_works = False
                self._metrics.insert_failures.inc()
                log.warning("insert_failed", rows=batch.rows, retry_s=delay_s, error=str(error)[:500])
                await asyncio.sleep(delay_s * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
                delay_s = min(delay_s * 2, LAST_RETRY_S)
            else:
                self.storing_works = True
                for place in refused:
                    self._metrics.errors.labels(place.stream).inc()
                return

    async def _commit(self) -> None:
        offsets = dict(self._uncommitted)
        try:
            await self._records.commit(offsets)
        except KafkaError as error:
            # Harmless: the next batch commits these too, or whoever reads them again stores the same rows.
            self._metrics.commit_failures.inc()
            log.warning("commit_failed", error=repr(error))
        else:
            self._uncommitted.clear()

    def _forget(self, revoked: set[TopicPartition]) -> None:
        self._batch.drop(revoked)
        for source in revoked:
            self._stored.pop(source, None)
            self._uncommitted.pop(source, None)

    def _note_lag(self) -> None:
        for stream, records in self._records.lag(self._stored).items():
            self._metrics.lag.labels(stream).set(records)

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._flush()
        except TimeoutError:
            log.warning("stopped_without_storing", rows=self._batch.rows)  # it is read again at the next start
        finally:
            await self._records.stop()
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _flush(self) -> None:
        if self._storing is not None:
            await self._storing
        if self._batch:
            await self._store(self._batch)
