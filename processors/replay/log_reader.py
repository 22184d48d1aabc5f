"""Reads single records of a stream by where they stand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

log = structlog.get_logger(__name__)

MAX_READ_OVER = 500
"""Records between two that are wanted which are read and left: a seek throws away what was fetched ahead, and costs a
request."""

FETCH_BYTES = 1_048_576
"""What is fetched ahead; a larger record still comes, alone."""

_ERROR_PAUSE_S = 0.5


class LogReader:
    """A consumer of no group, for one reader at a time.

    Args:
        bootstrap: `host:port`, comma separated.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        while True:
            self._consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",  # what is gone must be told, not passed over
                max_partition_fetch_bytes=FETCH_BYTES,
            )
            try:
                await self._consumer.start()
            except KafkaError as error:
                await self._consumer.stop()
                await _pause("start", error)
            else:
                # Its tasks must have begun: aiokafka's stop awaits one that it cancels, and that ended whoever stopped.
                await asyncio.sleep(0)
                return self

    async def __aexit__(self, *_: object) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def read(self, place: TopicPartition, offsets: Sequence[int]) -> AsyncIterator[ConsumerRecord | None]:
        """The record at each offset, or `None` where none stands any more, however long Kafka is away.

        Args:
            place: the partition.
            offsets: ascending; one may repeat.
        """
        consumer = self._started()
        consumer.assign([place])
        begin, end = await self._ends(place)
        last: ConsumerRecord | None = None
        position: int | None = None
        for offset in offsets:
            if last is not None and last.offset >= offset:
                yield last if last.offset == offset else None
                continue
            if not begin <= offset < end:
                yield None
                continue
            if position is None or offset - position > MAX_READ_OVER:
                consumer.seek(place, offset)
            last = await self._first_from(place, offset)
            position = last.offset + 1 if last else None
            yield last if last and last.offset == offset else None

    async def _first_from(self, place: TopicPartition, offset: int) -> ConsumerRecord | None:
        """The first record at an offset or behind it; `None` when it has expired meanwhile."""
        consumer = self._started()
        while True:
            try:
                record = await consumer.getone()
            except OffsetOutOfRangeError:
                return None
            except KafkaError as error:
                await _pause("read", error)
                consumer.seek(place, offset)
                continue
            if record.offset >= offset:
                return record

    async def _ends(self, place: TopicPartition) -> tuple[int, int]:
        consumer = self._started()
        while True:
            try:
                begin = await consumer.beginning_offsets([place])
                end = await consumer.end_offsets([place])
            except KafkaError as error:
                await _pause("ends", error)
            else:
                return begin[place], end[place]

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the reader has not started")
        return self._consumer


async def _pause(what: str, error: KafkaError) -> None:
    log.warning("log_reader_retry", what=what, error=repr(error))
    await asyncio.sleep(_ERROR_PAUSE_S)
