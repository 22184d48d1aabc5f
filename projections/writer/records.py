"""The projected streams, read as a member of one consumer group that never resets by itself."""

import time
from collections.abc import Callable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from projections.writer.batch import Place
from runtime.group_reader import Batches, GroupReader, Lost
from runtime.settings import Settings
from schemas.streams import Stream, StreamNames

log = structlog.get_logger(__name__)

MAX_RECORDS = 500
"""At a time: about 15 ms of work, so that whoever waits for the query API gets a turn."""

MAX_PARTITION_FETCH_BYTES = 1_048_576
"""Bounds what is read ahead to 57 MiB for 57 partitions; a larger record still comes, alone."""

FETCH_WAIT_MS = 200
"""aiokafka asks for one partition more only when its last request is answered: no row waits longer for that."""

FETCH_BYTES = 262_144
"""What a fetch waits for, so long as the wait allows: an answer for each single record costs Kafka and this process
several times what the record itself does."""

MAX_POLL_INTERVAL_MS = 86_400_000
"""A day: while ClickHouse is away nothing is read, and leaving the group would help nobody."""

METADATA_AGE_MS = 10_000
"""How soon a stream is noticed that was created after the start."""

MAX_SILENCE_S = 10.0
"""After it Kafka is away; a slow disk is silent for seconds."""

GROUP = "projections"
"""Without the prefix."""

Revoked = Callable[[set[TopicPartition]], None]


class Records(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Reads the streams.

    Args:
        settings: which Kafka and which prefix.
        streams: what to read.
        on_revoked: called with partitions that are somebody else's from now on.
        on_lost: told of records that were gone before they were read.
        instance: a name that no other running member has. A member that is killed and comes back under its name
            goes on at once; without one the group waits until the dead member's session ends.
    """

    def __init__(
        self, settings: Settings, streams: Iterable[Stream], on_revoked: Revoked, on_lost: Lost, instance: str | None
    ) -> None:
        names = StreamNames(settings.kafka_prefix)
        self.streams = {names(stream): stream.name for stream in streams}
        self.joined = False
        self.lost: list[tuple[Place, int]] = []
        """Where records expired before they were read, and the first offset that is left; the reader clears it."""
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            group_id=f"{settings.kafka_prefix}{GROUP}",
            group_instance_id=instance,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 100),
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_min_bytes=FETCH_BYTES,
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        self._reader = GroupReader(self._consumer, self._lost)

    async def start(self) -> None:
        """Connects and asks to join.

        Raises:
            KafkaError: no broker answers.
        """
        await self._consumer.start()
        self._consumer.subscribe(list(self.streams), listener=self)

    async def stop(self) -> None:
        """Leaves."""
        self.joined = False
        await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """The group is being divided anew."""
        self.joined = False
        self._on_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group is divided."""
        self.joined = True
        log.info("partitions_assigned", count=len(assigned))

    @property
    def answered(self) -> bool:
        """Whether Kafka answered a fetch lately; it does so every `FETCH_WAIT_MS` while records are read."""
        assigned = self._consumer.assignment()
        answers = [self._consumer.last_poll_timestamp(source) or 0 for source in assigned]
        return self.joined and (not answers or time.time() - max(answers) / 1000 < MAX_SILENCE_S)

    async def read(self, wait_ms: int) -> Batches:
        """The next records by partition; none if none came within `wait_ms`.

        Raises:
            KafkaError: they could not be read now; ask again.
        """
        return await self._reader.read(wait_ms, MAX_RECORDS)

    async def _lost(self, source: TopicPartition, first: int, then: int) -> None:
        await self._on_lost(source, first, then)
        self.lost.append((Place(source, self.streams[source.topic], first, time.time_ns() // 1_000_000), then))

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Commits what is ours of these offsets.

        Raises:
            KafkaError: it may not have been committed; what was read will be read again.
        """
        ours = {source: offset for source, offset in offsets.items() if source in self._consumer.assignment()}
        if ours:
            await self._consumer.commit(ours)

    def lag(self, stored: dict[TopicPartition, int]) -> dict[str, int]:
        """Records by stream that are in Kafka and not stored.

        Args:
            stored: offsets up to which partitions are stored; of one that is not there nothing was read yet.
        """
        lag = dict.fromkeys(self.streams.values(), 0)
        for source in self._consumer.assignment() & stored.keys():
            end = self._consumer.highwater(source) or 0
            lag[self.streams[source.topic]] += max(0, end - stored[source])
        return lag
