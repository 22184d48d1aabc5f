"""Reads the dispatches stream back, one partition at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.dispatch.firsts import Mark

MAX_RECORDS = 2_000
"""Applied at once, some 20 ms of work: other partitions go on meanwhile."""


class DispatchHistory:
    """The dispatch records of one partition, read over a connection of its own.

    Every method raises KafkaError when the broker does not answer: begin again.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition

    @classmethod
    @asynccontextmanager
    async def reading(cls, bootstrap: str, kafka_topic: str, partition: int) -> AsyncIterator["DispatchHistory"]:
        """Connects for as long as it takes."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            yield cls(consumer, TopicPartition(kafka_topic, partition))
        finally:
            await consumer.stop()

    async def has(self, mark: Mark) -> bool:
        """Whether the record before a mark is still the one that it was."""
        found = (await self._consumer.offsets_for_times({self._partition: mark.at_ms}))[self._partition]
        return found is not None and found.timestamp == mark.at_ms and found.offset < mark.position <= await self._end()

    async def since(self, time_ms: int) -> int:
        """The offset of the first record that was appended then or later, or the end."""
        found = (await self._consumer.offsets_for_times({self._partition: max(0, time_ms)}))[self._partition]
        return int(found.offset) if found else await self._end()

    async def records(self, start: int) -> AsyncIterator[list[ConsumerRecord]]:
        """Everything from an offset to the end that there is now."""
        end = await self._end()
        if start >= end:
            return
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, start)
        # The consumer's position, not the last record's offset: retention may remove what is at the end.
        while await self._consumer.position(self._partition) < end:
            for records in (await self._consumer.getmany(timeout_ms=1_000, max_records=MAX_RECORDS)).values():
                yield records

    async def _end(self) -> int:
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])
