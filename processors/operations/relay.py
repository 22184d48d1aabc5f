"""Makes events of operations, for as long as somebody subscribes to them.

An event has the id of its operation, as its sender's id too: what is made again after a crash is dispatched once. What
is about a subscription to operations, or one of its deliveries, becomes no event: an endpoint that is dead would
otherwise be told of its own dead letters, without an end.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from processors.metrics import WorkerMetrics
from processors.tasks import OnCrash, Tasks
from runtime.broken_connections import lives
from runtime.group_reader import GroupReader, Lost
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.tables import ConfigTables
from schemas.config import OPERATIONS_TOPIC
from schemas.event import Event, encode_event
from schemas.headers import MalformedRecordError
from schemas.operation import Operation, decode_operation
from schemas.stored import Record
from schemas.streams import EVENTS, OPERATIONS, StreamNames

log = structlog.get_logger(__name__)

GROUP = "operations"
"""Without the prefix."""

SOURCE = "hooklog"
"""The source of these events; no record has to exist for it."""

EVENTS_PER_S = 100.0
"""A worker dispatches ten times as many: a million dead letters take three hours to be told, and delay no sender."""

MAX_BATCH = 50
"""Read, told and committed together: half a second of the rate, so that a stop waits for no more."""

_ERROR_PAUSE_S = 0.5


class OperationsRelay:
    """A consumer of the operations stream, in a group of its own.

    Args:
        settings: which Kafka, and as whom.
        tables: the subscriptions; must not have been started yet.
        appender: stores the events.
        now_ms: the clock, epoch milliseconds.
        metrics: counts.
        on_crash: told of an error that nobody expected.
        on_lost: told of records that were gone before they were read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tables: ConfigTables,
        appender: Appender,
        now_ms: Callable[[], int],
        metrics: WorkerMetrics,
        on_crash: OnCrash,
        on_lost: Lost,
    ) -> None:
        self._on_lost = on_lost
        self._settings = settings
        self._tables = tables
        self._appender = appender
        self._now_ms = now_ms
        self._metrics = metrics
        self._tasks = Tasks(on_crash)
        self._wanting: set[str] = set()
        self._consumer: AIOKafkaConsumer | None = None
        tables.table("subscriptions").listeners.append(self._note)

    async def start(self) -> None:
        """Joins the group and begins."""
        session_ms = round(self._settings.session_timeout_s * 1_000)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            group_id=f"{self._settings.kafka_prefix}{GROUP}",
            group_instance_id=self._settings.instance_id or None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3_000, session_ms // 5),
        )
        await self._consumer.start()
        self._consumer.subscribe([StreamNames(self._settings.kafka_prefix)(OPERATIONS)])
        self._tasks.spawn(self._relay_for_ever(self._consumer))

    async def stop(self) -> None:
        """Ends where it is, and leaves the group."""
        tasks = self._tasks.running()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def running(self) -> bool:
        """Whether the loop lives, and the client under it."""
        return bool(self._tasks.running()) and self._consumer is not None and lives(self._consumer)

    def _note(self, record_id: str, _: Record[Any] | None, after: Record[Any] | None) -> None:
        if after is not None and after.spec.is_active and after.spec.topic_id == OPERATIONS_TOPIC:
            self._wanting.add(record_id)
        else:
            self._wanting.discard(record_id)

    async def _relay_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        reader = GroupReader(consumer, self._lost)
        while True:
            try:
                batches = await reader.read(500, MAX_BATCH)
            except KafkaError as error:
                log.warning("operations_poll_failed", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)
                continue
            for place, records in batches.items():
                told = await self._relay(records)
                await _commit(consumer, place, records[-1].offset + 1)
                await asyncio.sleep(told / EVENTS_PER_S)

    async def _lost(self, place: TopicPartition, first: int, then: int) -> None:
        await self._on_lost(place, first, then)
        if self._consumer is not None:
            await _commit(self._consumer, place, then)

    async def _relay(self, records: list[ConsumerRecord]) -> int:
        """Stores the events of those that somebody wants; how many."""
        await self._tables.catch_up()  # who subscribed before something happened is told of it
        self._tables.require_open()
        if not self._wanting:
            return 0
        events = [event for record in records if (event := self._event(record)) is not None]
        await self._appender.append_all(events)
        self._metrics.operation_events.inc(len(events))
        return len(events)

    def _event(self, record: ConsumerRecord) -> Outgoing | None:
        try:
            operation = decode_operation(record.value)
        except MalformedRecordError as error:
            log.warning("operation_unreadable", partition=record.partition, offset=record.offset, error=str(error))
            return None
        if operation.topic_id == OPERATIONS_TOPIC:
            return None
        event = event_of(operation, record.value, self._now_ms())
        return Outgoing(EVENTS, event.body, event.event_id.encode(), encode_event(event))


def event_of(operation: Operation, value: bytes, now_ms: int) -> Event:
    """The event that tells of an operation.

    Args:
        operation: what happened.
        value: of its record: the body.
        now_ms: epoch milliseconds; from then on the age of its deliveries counts.
    """
    return Event(
        event_id=operation.operation_id,
        topic_id=OPERATIONS_TOPIC,
        source_id=SOURCE,
        event_type=operation.kind,
        received_ms=now_ms,
        body=value,
        content_type="application/json",
        dedup_id=operation.operation_id,
    )


async def _commit(consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
    try:
        await consumer.commit({place: offset})
    except KafkaError as error:  # the next one covers it, or its next owner makes the same events
        log.warning("operations_commit_failed", error=repr(error))
