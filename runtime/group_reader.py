"""Reads as a member of a group that never resets by itself.

A consumer that is told `earliest` begins again, silently, wherever its place is gone. One that is told `none` says so,
and then there are three cases: the group has never committed (it begins at the first record there is, and commits that
at once, so that what expires from now on is noticed); its place is gone (that is told, before it goes on where
`place_after` says); or its place is there after all, after a broker's short confusion.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

log = structlog.get_logger(__name__)

Lost = Callable[[TopicPartition, int, int], Awaitable[None]]
"""Told of a partition, the offset that was to be read next, and the one that is read instead after that."""

SECOND_LOOK_S = 1.0
"""A leader that has just begun may not know yet how far its followers reach."""

Batches = dict[TopicPartition, list[ConsumerRecord]]


def place_after(lost: int, first: int, end: int) -> int:
    """The offset to go on at when the place of a group is not there.

    A stream that was made again begins at 0, and all of it is new. One that begins later has lost its end, which the
    group had read: from its beginning, weeks of it would be done again.

    Args:
        lost: the place.
        first: the first offset that is there.
        end: the one behind the last.
    """
    return end if first and lost > end else first


class GroupReader:
    """A consumer's records.

    Args:
        consumer: of a group, made with `auto_offset_reset="none"`.
        on_lost: told of records that are gone.
    """

    def __init__(self, consumer: AIOKafkaConsumer, on_lost: Lost) -> None:
        self._consumer = consumer
        self._on_lost = on_lost

    async def read(self, wait_ms: int, max_records: int | None = None) -> Batches:
        """The next records by partition; none if none came within `wait_ms`.

        Raises:
            KafkaError: they could not be read now; ask again.
        """
        try:
            records: Batches = await self._consumer.getmany(timeout_ms=wait_ms, max_records=max_records)
        except NoOffsetForPartitionError:
            await self._begin()
        except OffsetOutOfRangeError as error:
            for source, offset in error.args[0].items():
                await self._go_on(source, offset)
        else:
            return records
        return {}

    async def _begin(self) -> None:
        sources = [source for source in self._consumer.assignment() if await self._consumer.committed(source) is None]
        if sources:
            beginnings = await self._consumer.beginning_offsets(sources)
            self._seek(beginnings)
            await self._consumer.commit(beginnings)
            log.info("reading_from_the_beginning", partitions=len(sources))

    async def _go_on(self, source: TopicPartition, offset: int) -> None:
        beginning = (await self._consumer.beginning_offsets([source]))[source]
        end = (await self._consumer.end_offsets([source]))[source]
        if offset > end:
            await asyncio.sleep(SECOND_LOOK_S)
            end = (await self._consumer.end_offsets([source]))[source]
        if beginning <= offset <= end:
            self._seek({source: offset})
            return
        then = place_after(offset, beginning, end)
        await self._on_lost(source, offset, then)
        self._seek({source: then})

    def _seek(self, offsets: dict[TopicPartition, int]) -> None:
        for source, offset in offsets.items():
            if source in self._consumer.assignment():
                self._consumer.seek(source, offset)
