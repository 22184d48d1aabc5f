"""aiokafka's producer, handing records over in a third of the time.

aiokafka 0.14 makes five collections of a topic's partitions for each record, and hashes its key in Python, a byte at a
time: with a few records for each event, a tenth of a worker.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from runtime.murmur2 import murmur2

MAX_CACHED_KEY_BYTES = 128
"""Ids are shorter; what others produce as a key may be of any length."""


class LeanProducer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka ships no types
    """Takes records whose size was checked before."""

    async def hand_over(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> "asyncio.Future[RecordMetadata]":
        """As `send` does; `partition` is where to, when it is not the key that decides."""
        known: dict[int, Any] = self._metadata._partitions.get(topic, {})  # noqa: SLF001 - as the module says
        if partition is None and known and key is not None:
            hashed = _hash_of(key) if len(key) <= MAX_CACHED_KEY_BYTES else murmur2(key)
            partition = (hashed & 0x7FFFFFFF) % len(known)  # as all of Kafka's clients choose
        future: asyncio.Future[RecordMetadata]
        if partition in known:
            place, patience_s = _place_of(topic, partition), self._request_timeout_ms / 1_000
            future = await self._message_accumulator.add_message(place, key, value, patience_s, headers=headers)
        else:
            future = await self.send(topic, value, key, partition, headers=headers)
        return future


@lru_cache(maxsize=16_384)  # the keys of subscriptions, again and again
def _hash_of(key: bytes) -> int:
    return murmur2(key)


@lru_cache(maxsize=4_096)
def _place_of(topic: str, partition: int) -> TopicPartition:
    return TopicPartition(topic, partition)
