"""Which key seals what: read from the tables in Kafka, for which no key is needed."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from runtime.keyring import sealed_with
from schemas.headers import first_values
from schemas.stored import secrets_in
from schemas.streams import TABLES, StreamNames

POLL_MS = 200


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record that has secrets.

    Attributes:
        seals: of each secret the id of its key, empty when it is in the clear, and whether it was sealed in the form of
            this release.
    """

    kind: str
    record_id: str
    seals: tuple[tuple[str, bool], ...]

    def is_sealed_by(self, key_id: str) -> bool:
        """Whether that key seals all of its secrets, each bound to its field."""
        return all(seal == (key_id, True) for seal in self.seals)


async def read_stored(bootstrap: str, names: StreamNames) -> list[StoredRecord]:
    """Every record of the tables that has secrets, as it is now.

    Raises:
        KafkaError: no broker answers.
    """
    kinds = {TopicPartition(names(stream), 0): kind for kind, stream in TABLES.items()}
    # "earliest", because the default "latest" races with the seek, and what is not read would look rotated.
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    newest: dict[tuple[str, str], tuple[int, StoredRecord | None]] = {}
    await consumer.start()
    try:
        consumer.assign(list(kinds))
        for partition, begin in (await consumer.beginning_offsets(list(kinds))).items():
            consumer.seek(partition, begin)
        ends = await consumer.end_offsets(list(kinds))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for partition, messages in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                for message in messages:
                    _take(newest, kinds[partition], message)
    finally:
        await consumer.stop()
    return [record for _, record in newest.values() if record and record.seals]


def _take(newest: dict[tuple[str, str], tuple[int, StoredRecord | None]], kind: str, message: ConsumerRecord) -> None:
    """Notes a record, unless a newer one is known: as `runtime/tables.py` does it."""
    try:
        record_id = (message.key or b"").decode()
        document = json.loads(message.value) if message.value is not None else None
        version = int(first_values(message.headers)["hl-version"] if document is None else document["version"])
        record = StoredRecord(kind, record_id, _seals(document)) if document is not None else None
    except (ValueError, KeyError, TypeError):
        return  # no record of ours: the services tell of it
    if version >= newest.get((kind, record_id), (-1, None))[0]:
        newest[kind, record_id] = (version, record)


def _seals(document: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    return tuple(sealed_with(text) for _, text in secrets_in(document))


def counted(records: Iterable[StoredRecord]) -> Counter[tuple[str, bool]]:
    """How many secrets are sealed with which key, and in which form."""
    return Counter(seal for record in records for seal in record.seals)
