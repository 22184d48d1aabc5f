"""Reads the streams for one watcher, from its place on."""

from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from projections.query.tail_place import Place
from runtime.group_reader import place_after
from runtime.problem import ProblemError
from schemas.streams import Stream, StreamNames

POLL_MS = 250
"""How soon a watcher notices that it is to end."""

MAX_RECORDS = 200
"""At a time: about 10 ms of work."""

MAX_PARTITION_FETCH_BYTES = 262_144
"""Read ahead of each partition, of which there are some dozens; a larger record still comes, alone."""

REQUEST_TIMEOUT_MS = 10_000
"""After it Kafka is away."""

Gap = tuple[str, int, int, int]
"""A stream, a partition, the offset that was to be told next, and the one that is told instead."""


class TailReader:
    """A consumer of no group: it commits nothing, and nobody waits for it.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        streams: what to read.
    """

    def __init__(self, bootstrap: str, names: StreamNames, streams: Sequence[Stream]) -> None:
        self._bootstrap = bootstrap
        self._topics = {names(stream): stream.name for stream in streams}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=POLL_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def begin(self, place: Place | None) -> tuple[Place, list[Gap]]:
        """Goes to a place, or to the end when there is none; gives it, and what expired before it was told.

        Raises:
            ProblemError: 503, Kafka does not answer; 400, the place has partitions that are not there.
        """
        try:
            await self._consumer.start()
            sources = await self._sources()
            ends = await self._consumer.end_offsets(sources)
            firsts = await self._consumer.beginning_offsets(sources)
        except KafkaError as error:
            raise ProblemError(503, detail="Kafka does not answer", headers={"Retry-After": "5"}) from error
        offsets, gaps = ends, []
        if place is not None:
            offsets = self._offsets_in(place, sources)
            gaps = self._mend(offsets, firsts, ends)
        # At once after one another: the fetcher complains of whatever is assigned and has no position.
        self._consumer.assign(sources)
        for source, offset in offsets.items():
            self._consumer.seek(source, offset)
        return self._place_at(offsets, {} if gaps or place is None else place.begun), gaps

    async def _sources(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await admin.start()
            found = await admin.describe_topics(list(self._topics))
        finally:
            await admin.close()
        return [TopicPartition(item["topic"], number) for item in found for number in range(len(item["partitions"]))]

    def _offsets_in(self, place: Place, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        known = {(stream, number) for stream, offsets in place.offsets.items() for number in range(len(offsets))}
        there = {(self._topics[source.topic], source.partition) for source in sources}
        if not known <= there:
            raise ProblemError(400, "last_event_id", "the streams were made again; leave the id out to begin now")
        # A partition that came since then begins with what this watcher has not seen.
        return {
            source: place.offsets[self._topics[source.topic]][source.partition]
            if (self._topics[source.topic], source.partition) in known
            else 0
            for source in sources
        }

    def _mend(
        self,
        offsets: dict[TopicPartition, int],
        firsts: dict[TopicPartition, int],
        ends: dict[TopicPartition, int],
    ) -> list[Gap]:
        gaps = []
        for source, offset in list(offsets.items()):
            if not firsts[source] <= offset <= ends[source]:
                offsets[source] = place_after(offset, firsts[source], ends[source])
                gaps.append((self._topics[source.topic], source.partition, offset, offsets[source]))
        return gaps

    def _place_at(self, offsets: dict[TopicPartition, int], begun: dict[str, int]) -> Place:
        by_stream: dict[str, list[int]] = {stream: [] for stream in self._topics.values()}
        for source in sorted(offsets):
            by_stream[self._topics[source.topic]].append(offsets[source])
        return Place(by_stream, begun)

    async def records(self) -> AsyncIterator[tuple[str, ConsumerRecord] | None]:
        """Each record with its stream, and `None` whenever there was nothing for `POLL_MS`.

        Raises:
            KafkaError: what comes next is not there any more.
        """
        while True:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            for source, records in fetched.items():
                for record in records:
                    yield self._topics[source.topic], record
            if not fetched:
                yield None

    async def stop(self) -> None:
        """Disconnects."""
        await self._consumer.stop()
