"""Which records of a stream Kafka has: the first and the end of each partition."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runtime.kafka import NotStoredError
from schemas.streams import Stream, StreamNames

REQUEST_TIMEOUT_MS = 10_000


class LogRange:
    """Asks over a connection of its own, for as long as it takes: it is asked some times a day.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        partitions: how many a stream has.
    """

    def __init__(self, bootstrap: str, names: StreamNames, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._partitions = partitions

    async def of(self, stream: Stream) -> Sequence[tuple[int, int]]:
        """By partition, the offset of its first record, and the one after its last.

        Raises:
            NotStoredError: the broker did not say; ask again.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await consumer.start()
            await asyncio.sleep(0)  # aiokafka's stop awaits tasks that it cancels: they must have begun
            places = [TopicPartition(self._names(stream), number) for number in range(self._partitions)]
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        except KafkaError as error:
            raise NotStoredError(f"{stream.name}: {error!r}") from error
        finally:
            await consumer.stop()
        return [(begins[place], ends[place]) for place in places]
