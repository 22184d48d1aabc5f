"""Turns events into deliveries and a dispatch record each."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec
import structlog
from aiokafka import ConsumerRecord

from processors.dispatch.index import SubscriptionIndex
from processors.dispatch.join import join
from processors.metrics import WorkerMetrics
from runtime.kafka import Appender, Outgoing
from runtime.tables import ConfigTables
from schemas.delivery import Delivery, encode_delivery
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.event import Event, decode_event
from schemas.headers import MalformedRecordError, first_values
from schemas.streams import DELIVERIES, DISPATCHES, MAX_RECORD_BYTES

log = structlog.get_logger(__name__)

MAX_UNACKED = 2_000
"""Deliveries handed to the producer before their acks are awaited: one event may match 100,000 subscriptions."""

MAX_CARRIED_BYTES = MAX_RECORD_BYTES - 65_536
"""What was produced past ingest may be larger; with a delivery's own headers it must fit into a record."""

T = TypeVar("T")


class Dispatcher:
    """Makes the deliveries of events.

    Args:
        tables: the config, caught up with before each batch, so that an event meets what was stored before it.
        index: the subscriptions by topic.
        appender: stores.
        now_ms: the clock, epoch milliseconds.
        metrics: counts.
    """

    def __init__(
        self,
        tables: ConfigTables,
        index: SubscriptionIndex,
        appender: Appender,
        now_ms: Callable[[], int],
        metrics: WorkerMetrics,
    ) -> None:
        self._metrics = metrics
        self._tables = tables
        self._index = index
        self._appender = appender
        self._now_ms = now_ms

    async def dispatch(self, records: list[ConsumerRecord]) -> None:
        """Stores every delivery of the events, then a dispatch record for each; returns when all are stored."""
        await self._tables.catch_up()
        self._tables.require_open()
        config_version = self._tables.position("subscriptions")
        dispatches: list[Dispatch] = []

        def deliveries() -> Iterator[Outgoing]:
            for record in records:
                dispatch, made = self._join(record, config_version)
                dispatches.append(dispatch)
                yield from map(_outgoing, made)

        for some in _chunks(deliveries(), MAX_UNACKED):  # one event's deliveries in memory at a time, and one chunk
            await self._appender.append_all(some)
        await self._appender.append_all([_told(dispatch) for dispatch in dispatches])
        for dispatch in dispatches:
            self._tell(dispatch)

    def _tell(self, dispatch: Dispatch) -> None:
        self._metrics.events.inc()
        self._metrics.deliveries.inc(dispatch.matched)
        self._metrics.dispatch_seconds.observe(max(0, dispatch.dispatched_ms - dispatch.received_ms) / 1_000)
        for reason, number in dispatch.skipped.items():
            self._metrics.skips.labels(reason).inc(number)
        log.info(
            "dispatch",
            event_id=dispatch.event_id,
            topic=dispatch.topic_id,
            type=dispatch.event_type,
            matched=dispatch.matched,
            skipped=dispatch.skipped,
            error=dispatch.error,
            after_ms=dispatch.dispatched_ms - dispatch.received_ms,
        )

    def _join(self, record: ConsumerRecord, config_version: int) -> tuple[Dispatch, list[Delivery]]:
        try:
            event = decode_event(record.value, record.headers)
        except MalformedRecordError as error:
            return self._unreadable(record, config_version, str(error)), []
        carried = sum(len(text) for text in (event.event_type, event.content_type, event.traceparent))
        if len(event.body) + 4 * carried > MAX_CARRIED_BYTES:  # a character takes up to four bytes
            return self._unreadable(record, config_version, "too large to travel with a delivery's headers"), []
        result = join(event, self._index.of(event.topic_id), config_version)
        dispatch = self._dispatch(record, event, config_version)
        return (
            msgspec.structs.replace(
                dispatch, matched=len(result.deliveries), skipped=result.skipped, skips=result.skips
            ),
            result.deliveries,
        )

    def _dispatch(self, record: ConsumerRecord, event: Event, config_version: int) -> Dispatch:
        return Dispatch(
            event_id=event.event_id,
            topic_id=event.topic_id,
            source_id=event.source_id,
            event_type=event.event_type,
            received_ms=event.received_ms,
            dispatched_ms=self._now_ms(),
            event_partition=record.partition,
            event_offset=record.offset,
            config_version=config_version,
        )

    def _unreadable(self, record: ConsumerRecord, config_version: int, error: str) -> Dispatch:
        return Dispatch(
            event_id=first_values(record.headers).get("ce_id", ""),
            topic_id="",
            source_id="",
            event_type="",
            received_ms=record.timestamp,
            dispatched_ms=self._now_ms(),
            event_partition=record.partition,
            event_offset=record.offset,
            config_version=config_version,
            error=error,
        )


def _outgoing(delivery: Delivery) -> Outgoing:
    return Outgoing(DELIVERIES, delivery.body, delivery.subscription_id.encode(), encode_delivery(delivery))


def _told(dispatch: Dispatch) -> Outgoing:
    return Outgoing(
        DISPATCHES, encode_dispatch(dispatch), dispatch.event_id.encode(), partition=dispatch.event_partition
    )


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
