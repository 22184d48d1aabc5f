"""Turns events into deliveries and a dispatch record each."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec
import structlog
from aiokafka import ConsumerRecord
from aiokafka.structs import RecordMetadata

from processors.dispatch.dedup import Deduplicator
from processors.dispatch.index import SubscriptionIndex
from processors.dispatch.join import join
from processors.dispatch.reading import Reading
from processors.metrics import WorkerMetrics
from processors.operations.kinds import unreadable
from processors.operations.tell import Operations, record_of
from rules.dedup import First
from rules.match import newest_creation
from runtime.kafka import Appender, Outgoing
from runtime.tables import ConfigTables
from schemas.delivery import Delivery, encode_delivery
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.headers import first_values
from schemas.streams import DELIVERIES, DISPATCHES, EVENTS

log = structlog.get_logger(__name__)

MAX_UNACKED = 2_000
"""Deliveries handed to the producer before their acks are awaited: one event may match 100,000 subscriptions."""

T = TypeVar("T")

PassOn = Callable[[list[Outgoing], list[RecordMetadata]], Awaitable[None]]


class Dispatcher:
    """Makes the deliveries of events.

    Args:
        tables: the config.
        catch_up: called before each batch, so that an event meets the config that was stored before it.
        index: the subscriptions by topic.
        dedup: knows what was sent before; loaded for the partition.
        appender: stores.
        operations: tells people.
        pass_on: told of deliveries that are stored.
        now_ms: the clock, epoch milliseconds.
        metrics: counts.
        clocks_apart_ms: how far the brokers' clocks may lie apart.
    """

    def __init__(
        self,
        *,
        tables: ConfigTables,
        catch_up: Callable[[], Awaitable[None]],
        index: SubscriptionIndex,
        dedup: Deduplicator,
        appender: Appender,
        operations: Operations,
        pass_on: PassOn,
        now_ms: Callable[[], int],
        metrics: WorkerMetrics,
        clocks_apart_ms: int = 0,
    ) -> None:
        self._metrics = metrics
        self._clocks_apart_ms = clocks_apart_ms
        self._tables = tables
        self._catch_up = catch_up
        self._index = index
        self._dedup = dedup
        self._appender = appender
        self._operations = operations
        self._pass_on = pass_on
        self._now_ms = now_ms

    async def dispatch(self, records: list[ConsumerRecord]) -> None:
        """Stores every delivery of the events, then a dispatch record for each; returns when all are stored.

        Args:
            records: of one partition, by offset.
        """
        await self._catch_up()
        self._tables.require_open()
        config_version = self._tables.position("subscriptions")
        readings = [Reading.of(record) for record in records]
        partition, sightings = records[0].partition, [reading.sighting for reading in readings if reading.sighting]
        duplicates = self._dedup.find(partition, sightings)
        dispatches: list[Dispatch] = []

        def deliveries() -> Iterator[Outgoing]:
            for reading in readings:
                dispatch, made = self._join(reading, duplicates.get(reading.record.offset), config_version)
                dispatches.append(dispatch)
                yield from map(_outgoing, made)

        for some in _chunks(deliveries(), MAX_UNACKED):  # one event's deliveries in memory at a time, and one chunk
            await self._pass_on(some, await self._appender.append_all(some))
        stored = await self._store(dispatches, readings)
        firsts = (sighting for sighting in sightings if sighting.offset not in duplicates)
        self._dedup.remember(partition, firsts, stored, records[0].timestamp)
        self._metrics.dispatched(dispatches)
        for dispatch in dispatches:
            _tell(dispatch)

    async def _store(self, dispatches: list[Dispatch], readings: list[Reading]) -> list[RecordMetadata]:
        unread = (unreadable(EVENTS, reading.record, reading.error) for reading in readings if reading.error)
        operations = self._operations.admitted(unread)
        stored = await self._appender.append_all([*map(_told, dispatches), *map(record_of, operations)])
        self._operations.stored(operations)
        return stored[: len(dispatches)]

    def _join(self, reading: Reading, first: First | None, config_version: int) -> tuple[Dispatch, list[Delivery]]:
        dispatch = self._dispatch(reading, config_version)
        if reading.event is None:
            return dispatch, []
        if first is not None:
            of = f"{dispatch.event_partition}/{first.offset}"
            return msgspec.structs.replace(dispatch, duplicate=True, duplicate_of=of), []
        newest = newest_creation(reading.record.timestamp, self._clocks_apart_ms)
        result = join(reading.event, self._index, config_version, newest, reading.body_ref)
        return (
            msgspec.structs.replace(
                dispatch, matched=len(result.deliveries), skipped=result.skipped, skips=result.skips
            ),
            result.deliveries,
        )

    def _dispatch(self, reading: Reading, config_version: int) -> Dispatch:
        event, record = reading.event, reading.record
        return Dispatch(
            event_id=event.event_id if event else first_values(record.headers).get("ce_id", ""),
            topic_id=event.topic_id if event else "",
            source_id=event.source_id if event else "",
            event_type=event.event_type if event else "",
            received_ms=event.received_ms if event else record.timestamp,
            dispatched_ms=self._now_ms(),
            event_partition=record.partition,
            event_offset=record.offset,
            config_version=config_version,
            dedup_hash=reading.sighting.hash.hex() if reading.sighting else "",
            appended_ms=record.timestamp,
            error=reading.error,
        )


def _tell(dispatch: Dispatch) -> None:
    log.info(
        "dispatch",
        event_id=dispatch.event_id,
        topic=dispatch.topic_id,
        type=dispatch.event_type,
        matched=dispatch.matched,
        skipped=dispatch.skipped,
        duplicate_of=dispatch.duplicate_of,
        error=dispatch.error,
        after_ms=dispatch.dispatched_ms - dispatch.received_ms,
    )


def _outgoing(delivery: Delivery) -> Outgoing:
    return Outgoing(DELIVERIES, delivery.value, delivery.subscription_id.encode(), encode_delivery(delivery))


def _told(dispatch: Dispatch) -> Outgoing:
    return Outgoing(
        DISPATCHES, encode_dispatch(dispatch), dispatch.event_id.encode(), partition=dispatch.event_partition
    )


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
