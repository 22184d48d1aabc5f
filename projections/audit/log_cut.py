"""The log's side of an audit: where every stream ended at one moment, and what stands at an offset."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
from aiokafka.structs import OffsetAndMetadata

from projections.audit.coverage import Extent, Gap, Place
from projections.writer.records import GROUP
from projections.writer.rows import PROJECTIONS
from runtime.settings import Settings
from runtime.streams import partitions_of
from schemas.streams import StreamNames

POLL_S = 0.25
READ_S = 10.0
"""For the records of one gap: a broker that is alive has them in milliseconds."""

MAX_FETCH_BYTES = 1_048_576

Tell = Callable[[str], Awaitable[None]]
"""Told how far the audit is, in a sentence."""

Extents = dict[Place, Extent]

_STREAMS = {projection.stream.name: projection.stream for projection in PROJECTIONS}
_SOON_KNOWN = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""A broker has just started, or another one has taken over."""

_BEGINNING_OF = ("events", "dispatches", "attempts")
"""Streams without whose beginning an event cannot be held against anything, when the tables were made anew."""


class BehindError(Exception):
    """The projections did not pass the cut in time: wait, or look why they stand still."""


class LogCut:
    """Asks Kafka; for one audit.

    Args:
        settings: which Kafka and which prefix.
        consumer: started, of no group.
        admin: started.
    """

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        self._settings = settings
        self._names = StreamNames(settings.kafka_prefix)
        self._consumer = consumer
        self._admin = admin

    async def extents(self) -> Extents:
        """From where to where each partition reaches now.

        Raises:
            KafkaError: no broker answers.
        """
        places = {self._at(place): place for place in self._places()}
        begins = await self._consumer.beginning_offsets(list(places))
        ends = await self._consumer.end_offsets(list(places))
        return {place: Extent(begins[source], ends[source]) for source, place in places.items()}

    async def passed(self, cut: Extents, within_s: float, tell: Tell) -> None:
        """Returns when the projections have stored everything before the cut.

        Raises:
            BehindError: not within `within_s` seconds; the message says which stream they wait for.
            KafkaError: no broker answers.
        """
        deadline = time.monotonic() + within_s
        while behind := await self._behind(cut):
            text = f"the projections have {sum(behind.values())} records to store before the cut"
            if time.monotonic() > deadline:
                worst = max(behind, key=lambda place: behind[place])
                raise BehindError(
                    f"{text} after {within_s:g} s, most of them of {worst[0]}[{worst[1]}];"
                    " hooklog status and hooklog doctor say whether they work"
                )
            await tell(text)
            await asyncio.sleep(POLL_S)

    async def _behind(self, cut: Extents) -> dict[Place, int]:
        committed = await self._committed(list(map(self._at, cut)))
        left = {}
        for place, extent in cut.items():
            known = committed.get(self._at(place))
            left[place] = extent.end - max(extent.begin, known.offset if known else 0)
        return {place: records for place, records in left.items() if records > 0}

    async def _committed(self, places: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        group = f"{self._settings.kafka_prefix}{GROUP}"
        try:
            return dict(await self._admin.list_consumer_group_offsets(group, partitions=places))
        except _SOON_KNOWN:
            return {}

    async def since_ms(self, cut: Extents) -> int:
        """From when on everything is there: 0, unless Kafka has dropped the beginning of a stream.

        Raises:
            KafkaError: no broker answers.
        """
        cropped = [self._at(place) for place, extent in cut.items() if place[0] in _BEGINNING_OF and extent.begin]
        found = await self._consumer.offsets_for_times(dict.fromkeys(cropped, 0)) if cropped else {}
        return max((first.timestamp for first in found.values() if first), default=0)

    async def offsets_at(self, cut: Extents, times_ms: Mapping[Place, int]) -> dict[Place, int]:
        """The first offset of each partition that was appended at its time or later; its end where there is none.

        Raises:
            KafkaError: no broker answers.
        """
        found = await self._consumer.offsets_for_times({self._at(place): at_ms for place, at_ms in times_ms.items()})
        return {
            place: first.offset if (first := found.get(self._at(place))) else extent.end
            for place, extent in cut.items()
        }

    async def records(self, gap: Gap, most: int) -> AsyncIterator[ConsumerRecord]:
        """The first records of a gap; offsets at which nothing stands are left out.

        Raises:
            KafkaError, TimeoutError: they cannot be read now.
        """
        source = self._at(gap.place)
        self._consumer.assign([source])
        self._consumer.seek(source, gap.first)
        async with asyncio.timeout(READ_S):
            while most > 0 and await self._consumer.position(source) <= gap.last:
                for record in (await self._consumer.getmany(source, timeout_ms=200)).get(source, []):
                    if record.offset > gap.last or most == 0:
                        return
                    most -= 1
                    yield record

    def _places(self) -> Iterable[Place]:
        for name, stream in _STREAMS.items():
            yield from ((name, number) for number in range(partitions_of(stream, self._settings)))

    def _at(self, place: Place) -> TopicPartition:
        return TopicPartition(self._names(_STREAMS[place[0]]), place[1])


@asynccontextmanager
async def log_cut(settings: Settings) -> AsyncIterator[LogCut]:
    """A connection to Kafka for one audit.

    Raises:
        KafkaError: no broker answers.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_FETCH_BYTES,
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    try:
        await consumer.start()
        await admin.start()
        yield LogCut(settings, consumer, admin)
    finally:
        await admin.close()
        await consumer.stop()
