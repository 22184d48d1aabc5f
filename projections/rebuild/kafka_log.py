"""Every projected stream, read from its first record that is left, beside the group that writes."""

from collections import defaultdict
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import OffsetOutOfRangeError

from projections.rebuild.carry import Gap
from runtime.group_reader import Batches
from runtime.settings import Settings
from schemas.streams import Stream, StreamNames

log = structlog.get_logger(__name__)

MAX_RECORDS = 500
"""At a time: about 15 ms of work, so that the query API and the writer get their turns."""

MAX_PARTITION_FETCH_BYTES = 1_048_576
"""Bounds what is read ahead, as the writer's."""

WAIT_MS = 500


class StreamMissingError(Exception):
    """Kafka has no such stream: run `hooklog init`."""


class KafkaLog:
    """Reads the streams up to an end that is set by `look`.

    Args:
        settings: which Kafka and which prefix.
        streams: what to read.
    """

    def __init__(self, settings: Settings, streams: list[Stream]) -> None:
        names = StreamNames(settings.kafka_prefix)
        self._bootstrap = settings.bootstrap
        self._streams = {names(stream): stream.name for stream in streams}
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self.gaps: dict[str, list[Gap]] = defaultdict(list)
        """Offsets by stream that Kafka had no records of any more."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
        )

    async def start(self, offsets: Mapping[str, int] | None = None) -> None:
        """Connects, and sets the end.

        Args:
            offsets: where to begin, by stream/partition, instead of at the first record.

        Raises:
            KafkaError: Kafka does not answer.
            StreamMissingError: a stream is not there.
        """
        await self._consumer.start()
        chosen = offsets or {}
        for source in await self._sources():
            if (place := f"{self._streams[source.topic]}/{source.partition}") in chosen:
                self._positions[source] = chosen[place]
        await self.look()

    async def stop(self) -> None:
        """Disconnects."""
        await self._consumer.stop()

    async def look(self) -> None:
        """Moves the end to where the streams end now, new partitions included.

        Raises:
            KafkaError: Kafka does not answer.
            StreamMissingError: a stream is not there.
        """
        sources = await self._sources()
        self._ends = await self._consumer.end_offsets(sources)
        new = [source for source in sources if source not in self._positions]
        if new:
            for source, beginning in (await self._consumer.beginning_offsets(new)).items():
                self._skip(source, 0, beginning)
        if set(sources) != self._consumer.assignment():
            self._consumer.assign(sources)
            for source in sources:
                self._consumer.seek(source, self._positions[source])

    async def _sources(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            topics = {found["topic"]: found["partitions"] for found in await admin.describe_topics(list(self._streams))}
        finally:
            await admin.close()
        for name in self._streams:
            if not topics.get(name):
                raise StreamMissingError(f"Kafka has no stream {name}")
        return [TopicPartition(name, number) for name, found in topics.items() for number in range(len(found))]

    async def read(self) -> Batches:
        """The next records by partition; perhaps none.

        Raises:
            KafkaError: Kafka does not answer.
        """
        try:
            batches: Batches = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=MAX_RECORDS)
        except OffsetOutOfRangeError as error:
            await self._skip_expired(error.args[0])
            return {}
        for source in self._positions:
            # The consumer's position, not the last record's offset: a transaction's end is no record.
            self._positions[source] = await self._consumer.position(source)
        return batches

    async def _skip_expired(self, lost: Mapping[TopicPartition, int]) -> None:
        for source, beginning in (await self._consumer.beginning_offsets(list(lost))).items():
            self._skip(source, lost[source], beginning)
            self._consumer.seek(source, beginning)

    def _skip(self, source: TopicPartition, first: int, beginning: int) -> None:
        self._positions[source] = beginning
        if first < beginning:
            self.gaps[self._streams[source.topic]].append(Gap(source.partition, first, beginning))

    def stream(self, source: TopicPartition) -> str:
        """The stream's name, without the prefix."""
        return self._streams[source.topic]

    @property
    def left(self) -> int:
        """Records up to the end that are not read yet."""
        return sum(max(0, end - self._positions[source]) for source, end in self._ends.items())

    @property
    def positions(self) -> dict[str, int]:
        """How far it has read, by stream/partition."""
        return {f"{self.stream(source)}/{source.partition}": offset for source, offset in self._positions.items()}

    @property
    def ends(self) -> dict[tuple[str, int], int]:
        """The end by stream and partition."""
        return {(self.stream(source), source.partition): end for source, end in self._ends.items()}
