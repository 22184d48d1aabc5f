"""Reads whole streams, from the first record to the end that they have now."""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete


@dataclass(frozen=True)
class Rec:
    """One record, as it stands in Kafka."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None

    def header(self, name: str) -> str:
        """The first header of that name, or empty."""
        return next((value.decode() for key, value in self.headers if key == name), "")


async def read_stream(bootstrap: str, topic: str) -> list[Rec]:
    """Every record of a Kafka topic, by partition and offset."""
    # 'earliest', because the default 'latest' races with the seek and may silently read nothing.
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=8_388_608
    ) as consumer:
        partitions = await _partitions(bootstrap, topic)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, begin in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(partition, begin)
        records: list[Rec] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                records += [Rec(m.partition, m.offset, m.timestamp, m.key, tuple(m.headers), m.value) for m in messages]
    return sorted(records, key=lambda record: (record.partition, record.offset))


async def _partitions(bootstrap: str, topic: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    (found,) = await admin.describe_topics([topic])
    await admin.close()
    assert found["partitions"], f"there is no topic {topic}"
    return [TopicPartition(topic, number) for number in range(len(found["partitions"]))]


async def produce(bootstrap: str, topic: str, key: bytes | None, value: bytes | None) -> int:
    """Appends one record, as anybody may; returns its offset."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4_194_304) as producer:
        stored = await producer.send_and_wait(topic, value, key=key)
        return int(stored.offset)


async def committed(bootstrap: str, group: str, place: TopicPartition) -> int:
    """The offset below which a group has finished; -1 when it never said so."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    found = await admin.list_consumer_group_offsets(group, partitions=[place])
    await admin.close()
    return int(found[place].offset)


async def expire(bootstrap: str, place: TopicPartition, before: int) -> None:
    """Deletes the records below an offset, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_records({place: RecordsToDelete(before_offset=before)})
    await admin.close()
