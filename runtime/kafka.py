"""Kafka clients: appending with the broker's ack, and asking where a stream ends."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from schemas.streams import MAX_INTAKE_BYTES, Stream, StreamNames

log = structlog.get_logger(__name__)

_RETRY_S = 0.5
_REQUEST_TIMEOUT_MS = 30_000
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


class Appender:
    """Appends records with acks=all from an idempotent producer.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        linger_ms: how long a batch waits for company: 0 where a sender waits for the answer.
    """

    def __init__(self, bootstrap: str, names: StreamNames, *, linger_ms: int = 0) -> None:
        self._names = names
        self._bootstrap = bootstrap
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connects; must run in the loop that appends."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._linger_ms,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=MAX_INTAKE_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        self._producer = producer  # before it starts: stop() closes it also when that fails
        await producer.start()

    async def stop(self) -> None:
        """Sends what waits, then disconnects."""
        if self._producer is not None:
            await self._producer.stop()

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
        if self._producer is None:
            raise NotStoredError("the producer has not started")
        try:
            future: asyncio.Future[RecordMetadata] = await self._producer.send(
                self._names(stream), value, key=key, headers=list(headers), partition=partition
            )
        except MessageSizeTooLargeError as error:
            raise RecordTooLargeError(str(error)) from error
        return future

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
        try:
            async with asyncio.timeout(timeout_s):
                return await (await self.send(stream, value, key=key, headers=headers, partition=partition))
        except MessageSizeTooLargeError as error:
            raise RecordTooLargeError(str(error)) from error
        except (TimeoutError, KafkaError) as error:
            raise NotStoredError(f"{stream.name}: {error!r}") from error

    async def append_all(self, records: Sequence[Outgoing]) -> list[RecordMetadata]:
        """Appends until the broker has every record, however long that takes; some may then be there twice.

        Returns:
            where each stands, in the order given.

        Raises:
            RecordTooLargeError: no stream takes one of them.
        """
        futures = [await self._begin(record) for record in records]
        return [await self._finish(record, future) for record, future in zip(records, futures, strict=True)]

    async def append_surely(self, record: Outgoing) -> RecordMetadata:
        """Appends one record until the broker has it.

        Raises:
            RecordTooLargeError: no stream takes it.
        """
        return (await self.append_all([record]))[0]

    async def _begin(self, record: Outgoing) -> "asyncio.Future[RecordMetadata]":
        while True:
            try:
                return await self.send(
                    record.stream,
                    record.value,
                    key=record.key,
                    headers=record.headers,
                    partition=record.partition,
                )
            except KafkaError as error:
                await _pause(record.stream, error)

    async def _finish(self, record: Outgoing, future: "asyncio.Future[RecordMetadata]") -> RecordMetadata:
        while True:
            try:
                return await future
            except MessageSizeTooLargeError as error:
                raise RecordTooLargeError(str(error)) from error
            except KafkaError as error:
                await _pause(record.stream, error)
                future = await self._begin(record)


async def _pause(stream: Stream, error: KafkaError) -> None:
    log.warning("append_retry", stream=stream.name, error=repr(error))
    await asyncio.sleep(_RETRY_S)


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
