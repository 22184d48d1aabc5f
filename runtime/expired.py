"""What groups of consumers have missed: told by whoever notices, and followed by those whose `/ready` is red for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge

from runtime.broken_connections import lives
from runtime.group_reader import Lost
from runtime.kafka import Appender, Outgoing
from schemas.expired import Expired, decode_expired, encode_expired
from schemas.headers import MalformedRecordError
from schemas.operation import Operation, OperationKind, SubjectKind, encode_operation, operation_id
from schemas.streams import EXPIRED, OPERATIONS, StreamNames

log = structlog.get_logger(__name__)

_ERROR_PAUSE_S = 0.5
_MISSING_PAUSE_S = 1.0

TAKE_NOTE = "`hooklog expired --acknowledge` takes note"

Known = dict[str, Expired]


class ExpiredRecords:
    """What the groups of one service have missed.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        groups: whose readiness it is about, without the prefix.
        now_ms: the clock, epoch milliseconds.
        registry: where it counts.
    """

    def __init__(
        self,
        bootstrap: str,
        names: StreamNames,
        groups: Collection[str],
        now_ms: Callable[[], int],
        registry: CollectorRegistry,
    ) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._groups = frozenset(groups)
        self._now_ms = now_ms
        self._known: Known = {}
        self._turn = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None
        self._loaded = False
        self._counter = Counter(
            "hooklog_records_expired", "Records gone before they were read", ["group", "stream"], registry=registry
        )
        gauge = Gauge("hooklog_expired_unacknowledged", "Partitions with a loss to acknowledge", registry=registry)
        gauge.set_function(lambda: len(self.reasons()))

    async def start(self) -> None:
        """Begins to follow; it is known a moment later whether something was missed."""
        self._follower = asyncio.create_task(self._follow_for_ever())

    async def stop(self) -> None:
        """Ends."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])

    @property
    def running(self) -> bool:
        """Whether it follows the stream."""
        return self._follower is not None and not self._follower.done()

    @property
    def none(self) -> bool:
        """Whether nothing was missed that nobody has acknowledged."""
        return self._loaded and not self.reasons()

    def reasons(self) -> list[str]:
        """A sentence for each partition of which something was missed, and nobody has acknowledged that."""
        ours = (item for item in self._known.values() if item.group in self._groups)
        return sorted(f"{item.text}; {TAKE_NOTE}" for item in ours if not item.acknowledged_ms)

    def of_group(self, group: str) -> Lost:
        """What a reader of that group tells of its losses; returns when that is stored."""
        return partial(self._note, group)

    async def _note(self, group: str, place: TopicPartition, first: int, then: int) -> None:
        found = Expired(
            group=group,
            stream=place.topic.removeprefix(self._names.prefix),
            partition=place.partition,
            first=first,
            next=then,
            count=max(0, then - first),
            noticed_ms=self._now_ms(),
        )
        async with self._turn:  # what is recorded rests on what is known
            if not self._loaded:
                self._known |= await read_expired(self._bootstrap, self._names)
            before = self._known.get(found.key)
            item = found.after(before)
            if item is not None:
                await append_expired(self._bootstrap, self._names, [item], [_operation(found)])
                self._known[item.key] = item
                self._counter.labels(group, found.stream).inc(
                    max(0, item.count - (before.count if before and not before.acknowledged_ms else 0))
                )
        log.error("records_expired", told_before=item is None, text=found.text, **msgspec.structs.asdict(found))

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                async with _consuming(self._bootstrap, self._names) as (consumer, place):
                    await self._follow(consumer, place)
            except KafkaError as error:
                log.warning("expired_unknown", error=repr(error))
            await asyncio.sleep(_ERROR_PAUSE_S)

    async def _follow(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        while not await _is_there(consumer, place):
            self._loaded = True  # nobody has made the streams yet, so nobody can have missed anything of them
            await asyncio.sleep(_MISSING_PAUSE_S)
        end = (await consumer.end_offsets([place]))[place]
        while lives(consumer):
            for record in (await consumer.getmany(timeout_ms=500)).get(place, []):
                _apply(record, self._known)
            self._loaded = self._loaded or await consumer.position(place) >= end


def _operation(found: Expired) -> Operation:
    kind = OperationKind.RECORDS_EXPIRED
    offsets = (str(found.first), str(found.next))
    return Operation(
        operation_id=operation_id(kind, found.noticed_ms, found.key, *offsets),
        kind=kind,
        at_ms=found.noticed_ms,
        subject_kind=SubjectKind.STREAM,
        subject_id=found.stream,
        message=found.text,
        detail={
            "group": found.group,
            "partition": found.partition,
            "first": found.first,
            "next": found.next,
            "count": found.count,
        },
    )


@asynccontextmanager
async def _consuming(bootstrap: str, names: StreamNames) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
    place = TopicPartition(names(EXPIRED), 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        consumer.assign([place])
        consumer.seek(place, 0)
        yield consumer, place
    finally:
        await consumer.stop()


async def _is_there(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    return place.topic in await consumer.topics()


def _apply(record: ConsumerRecord, known: Known) -> None:
    if record.value is None:
        known.pop((record.key or b"").decode(errors="replace"), None)
        return
    try:
        item = decode_expired(record.value)
    except MalformedRecordError as error:
        log.warning("expired_unreadable", offset=record.offset, error=str(error))
        return
    known[item.key] = item


async def read_expired(bootstrap: str, names: StreamNames) -> Known:
    """Everything that is known now, acknowledged or not, by key.

    Raises:
        KafkaError: no broker answers.
    """
    known: Known = {}
    async with _consuming(bootstrap, names) as (consumer, place):
        end = (await consumer.end_offsets([place]))[place] if await _is_there(consumer, place) else 0
        while end and await consumer.position(place) < end:
            for record in (await consumer.getmany(timeout_ms=500)).get(place, []):
                _apply(record, known)
    return known


async def append_expired(
    bootstrap: str, names: StreamNames, items: Iterable[Expired], operations: Iterable[Operation] = ()
) -> None:
    """Stores, however long Kafka is away; it is so rare that it has a producer only while it is done."""
    records = [Outgoing(OPERATIONS, encode_operation(told), told.subject_id.encode()) for told in operations]
    records += [Outgoing(EXPIRED, encode_expired(item), item.key.encode()) for item in items]
    while True:
        appender = Appender(bootstrap, names)
        try:
            await appender.start()
            await appender.append_all(records)
        except KafkaError as error:
            log.warning("expired_not_stored", error=repr(error))
            await asyncio.sleep(_ERROR_PAUSE_S)
        else:
            return
        finally:
            await appender.stop()


def acknowledged(items: Iterable[Expired], now_ms: int) -> list[Expired]:
    """The same, with the time at which an operator has taken note of each."""
    return [msgspec.structs.replace(item, acknowledged_ms=now_ms) for item in items]
