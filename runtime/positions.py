"""Reads single records of a stream by their position.

A consumer is made to go on from where it is: it fetches ahead, and what it holds of one partition delays the others.
Here each question is one request of its own, and its answer is the one batch that holds the record.
"""

import asyncio
import contextlib

import structlog
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    NoError,
    OffsetOutOfRangeError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from runtime.broken_connections import lives
from schemas.streams import MAX_RECORD_BYTES

log = structlog.get_logger(__name__)

TRIES = 3
"""A broker that has just become the leader may not know yet what it has: it is asked again before it is believed."""

UNKNOWN_LIMIT_S = 45.0
"""A record at the end of what is known to be stored everywhere: a new leader learns of more from the fetches of its
followers, and leaves one out that does not fetch for half a minute (`replica.lag.time.max.ms`)."""

_PAUSE_S = 0.5
_REQUEST_TIMEOUT_MS = 10_000

_ONE_BATCH = 1
"""Bytes; a broker gives the first batch whole, whatever its size (KIP-74)."""


class RecordGoneError(LookupError):
    """The stream has no record there, and will have none: do not ask again."""


class _NotKnownYetError(Exception):
    """Ask again: the leader may not know yet that it has the record."""


class PositionReader:
    """Reads records of one stream, over connections of its own.

    Args:
        bootstrap: `host:port`, comma separated.
        kafka_topic: of the stream.
        unknown_limit_s: how long a leader may not know of a record before there is none.
    """

    def __init__(self, bootstrap: str, kafka_topic: str, unknown_limit_s: float = UNKNOWN_LIMIT_S) -> None:
        self._unknown_tries = round(unknown_limit_s / _PAUSE_S)
        self._bootstrap = bootstrap
        self._kafka_topic = kafka_topic
        self._client: AIOKafkaClient | None = None

    async def start(self) -> None:
        """Connects."""
        self._client = AIOKafkaClient(bootstrap_servers=self._bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
        await self._client.bootstrap()
        await self._client.add_topic(self._kafka_topic)

    async def stop(self) -> None:
        """Disconnects."""
        if self._client is not None:
            await self._client.close()

    @property
    def running(self) -> bool:
        """Whether its client lives."""
        return self._client is not None and lives(self)

    async def value_at(self, partition: int, offset: int) -> bytes:
        """The value of one record, however long its broker is away.

        Raises:
            RecordGoneError: there is none: it has expired, was deleted, or cannot be read.
        """
        refusals = unknown = 0
        while True:
            try:
                value = await self._ask(partition, offset)
            except _NotKnownYetError:
                unknown += 1
            except KafkaError as error:
                log.warning("record_read_failed", partition=partition, offset=offset, error=repr(error))
            else:
                if value is not None:
                    return value
                refusals += 1
            if refusals == TRIES or unknown == self._unknown_tries:
                raise RecordGoneError(f"{self._kafka_topic} has no record {partition}/{offset}")
            await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(KafkaError):
                await self._connected().force_metadata_update()

    async def _ask(self, partition: int, offset: int) -> bytes | None:
        client, topic = self._connected(), self._kafka_topic
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None and client.cluster.partitions_for_topic(topic):
            return None  # the stream has fewer partitions than it had
        if leader is None or leader == -1:
            raise LeaderNotAvailableError(topic)
        asked = [(topic, [(partition, offset, _ONE_BATCH)])]
        answer = await client.send(leader, FetchRequest(0, 1, MAX_RECORD_BYTES, 0, asked, rack_id=""))
        ((_, ((_, code, known_to, *_, batches),)),) = answer.topics
        error = for_code(code)
        if error is OffsetOutOfRangeError:
            return None
        if error is not NoError:
            raise error(topic)
        value = _value_in(batches, offset)
        if value is None and offset >= known_to:
            raise _NotKnownYetError
        return value

    def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            raise RuntimeError("the reader has not started")
        return self._client


def _value_in(raw: bytes, offset: int) -> bytes | None:
    batches = MemoryRecords(raw)
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            return None
        for record in batch:
            if record.offset == offset:
                return record.value or b""
    return None
