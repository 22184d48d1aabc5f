"""Kafka clients: appending with the broker's ack, and asking where a stream ends."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

import runtime.broken_connections  # noqa: F401 - mends aiokafka for whoever uses it here
from runtime.pace import pace_sends
from runtime.producer import LeanProducer
from schemas.streams import MAX_INTAKE_BYTES, Stream, StreamNames

log = structlog.get_logger(__name__)

_RETRY_S = 0.5
_REQUEST_TIMEOUT_MS = 30_000
_RECORD_OVERHEAD_BYTES = 2_048
"""Of a record batch beside key, value and headers: about 100 bytes, and up to ten for each header."""

_MAX_BATCH_BYTES = 262_144
"""Measured: larger batches gain nothing at 1 KiB a record."""


class NotStoredError(Exception):
    """The broker did not confirm a record in time: it may or may not be stored, so ask for it again."""


class RecordTooLargeError(ValueError):
    """No stream takes a record of this size: do not try again."""


async def wait_for_broker(bootstrap: str, *, timeout_s: float = 60.0) -> None:
    """Returns as soon as a broker answers; a client that starts without one would die.

    Raises:
        TimeoutError: none did within `timeout_s`.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            client = AIOKafkaClient(bootstrap_servers=bootstrap)
            try:
                await client.bootstrap()
            except (KafkaError, OSError):
                await asyncio.sleep(_RETRY_S)
            else:
                return
            finally:
                await client.close()


class Outgoing(NamedTuple):
    """A record to append.

    Attributes:
        partition: where to, when it is not the key that decides.
    """

    stream: Stream
    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None

    @property
    def fits(self) -> bool:
        """Whether its stream takes a record of this size."""
        return _size_of(self.value, self.key, self.headers) <= self.stream.max_record_bytes - _RECORD_OVERHEAD_BYTES


def _size_of(value: bytes | None, key: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    return len(value or b"") + len(key or b"") + sum([len(name) + len(raw) for name, raw in headers])


def _always() -> bool:
    return True


_Begun = tuple[LeanProducer, "asyncio.Future[RecordMetadata]"]


class Appender:
    """Appends records with acks=all from an idempotent producer.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        pace_s: the least time between two requests to one broker: what comes meanwhile shares the next one. The first
            one after a silence leaves at once.
    """

    def __init__(self, bootstrap: str, names: StreamNames, *, pace_s: float = 0.0) -> None:
        self._names = names
        self._bootstrap = bootstrap
        self._pace_s = pace_s
        self._producer: LeanProducer | None = None
        self._renewing = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects; must run in the loop that appends."""
        self._producer = self._new_producer()  # before it starts: stop() closes it also when that fails
        await self._producer.start()

    def _new_producer(self) -> LeanProducer:
        producer = LeanProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=MAX_INTAKE_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        if self._pace_s:
            pace_sends(producer, self._pace_s)
        return producer

    async def stop(self) -> None:
        """Sends what waits, then disconnects."""
        if self._producer is not None:
            await self._producer.stop()
        for task in self._retired:
            task.cancel()

    async def send(
        self,
        stream: Stream,
        value: bytes | None,
        *,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> "asyncio.Future[RecordMetadata]":
        """Hands a record over; the future it returns is done when the broker has it.

        Raises:
            KafkaError: the record could not be taken, for instance because no broker answers.
            RecordTooLargeError: it never can be.
        """
        producer = self._started()
        # Before the producer sees it: a batch that the broker refuses costs an idempotent producer its sequence.
        if (size := _size_of(value, key, headers)) > stream.max_record_bytes - _RECORD_OVERHEAD_BYTES:
            raise RecordTooLargeError(f"{stream.name} takes no record of {size} bytes")
        return await producer.hand_over(self._names(stream), value, key, partition, list(headers))

    def _started(self) -> LeanProducer:
        if self._producer is None:
            raise NotStoredError("the producer has not started")
        return self._producer

    async def _renew(self, failed: LeanProducer) -> None:
        """Goes on with a new producer: one that lost a batch is out of sequence on that partition for ever."""
        async with self._renewing:
            if self._producer is not failed:
                return
            fresh = self._new_producer()
            try:
                await fresh.start()
            except KafkaError:
                await fresh.stop()
                return  # no broker: the next failure comes here again
            except asyncio.CancelledError:
                await fresh.stop()
                raise
            self._producer = fresh
            log.warning("producer_renewed")
            retiring = asyncio.create_task(_retire(failed))
            self._retired.add(retiring)
            retiring.add_done_callback(self._retired.discard)

    async def append(
        self,
        stream: Stream,
        value: bytes | None,
        *,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timeout_s: float,
    ) -> RecordMetadata:
        """Appends once and waits for the ack.

        Raises:
            NotStoredError: no ack within `timeout_s`; the record may still be stored later.
            RecordTooLargeError: no stream takes it.
        """
        producer = self._started()
        try:
            async with asyncio.timeout(timeout_s):
                return await (await self.send(stream, value, key=key, headers=headers, partition=partition))
        except TimeoutError as error:
            raise NotStoredError(f"{stream.name}: no ack within {timeout_s} s") from error
        except KafkaError as error:
            with contextlib.suppress(TimeoutError):  # whoever waits for the answer has waited long enough
                async with asyncio.timeout(timeout_s):
                    await self._renew(producer)
            raise NotStoredError(f"{stream.name}: {error!r}") from error

    async def append_all(
        self, records: Sequence[Outgoing], *, still: Callable[[], bool] = _always
    ) -> list[RecordMetadata]:
        """Appends until the broker has every record, however long that takes; some may then be there twice.

        Args:
            records: what to append.
            still: asked before each repetition; once it says no, nothing is repeated any more.

        Returns:
            where each stands, in the order given.

        Raises:
            RecordTooLargeError: no stream takes one of them.
            NotStoredError: `still` said no.
        """
        begun = [await self._begin(record, still) for record in records]
        return [await self._finish(record, attempt, still) for record, attempt in zip(records, begun, strict=True)]

    async def append_surely(self, record: Outgoing) -> RecordMetadata:
        """Appends one record until the broker has it.

        Raises:
            RecordTooLargeError: no stream takes it.
        """
        return await self._finish(record, await self._begin(record, _always), _always)

    async def _begin(self, record: Outgoing, still: Callable[[], bool]) -> _Begun:
        while True:
            producer = self._started()
            try:
                future = await self.send(
                    record.stream, record.value, key=record.key, headers=record.headers, partition=record.partition
                )
            except KafkaError as error:
                await self._recover(record, producer, error, still)
            else:
                return producer, future

    async def _finish(self, record: Outgoing, begun: _Begun, still: Callable[[], bool]) -> RecordMetadata:
        while True:
            producer, future = begun
            try:
                return await future
            except KafkaError as error:
                await self._recover(record, producer, error, still)
                begun = await self._begin(record, still)

    async def _recover(
        self, record: Outgoing, producer: LeanProducer, error: KafkaError, still: Callable[[], bool]
    ) -> None:
        log.warning("append_retry", stream=record.stream.name, error=repr(error))
        if not still():
            raise NotStoredError(f"{record.stream.name}: {error!r}") from error
        await asyncio.sleep(_RETRY_S)
        await self._renew(producer)


async def _retire(producer: LeanProducer) -> None:
    # What it still holds either arrives or fails, and is then appended again through the new one.
    with contextlib.suppress(KafkaError):
        await producer.stop()


class EndOffsets:
    """Asks where partitions end, over a connection of its own.

    A broker answers the requests of one connection in order, so behind a waiting fetch the answer would take as
    long as the fetch.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connects."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False, request_timeout_ms=10_000
        )
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnects."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def of(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition.

        Raises:
            KafkaError: the broker did not say; ask again.
        """
        if self._consumer is None:
            raise NotStoredError("the offsets client has not started")
        offsets: dict[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return offsets
