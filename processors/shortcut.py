"""Deliveries that this worker has just stored begin at once; the fetch that brings them back may take its time."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord
from aiokafka.structs import RecordMetadata
from faust.types import TP

from processors.batchfed.acker import BatchAcker
from processors.batchfed.app import BatchApp
from runtime.kafka import Outgoing

MAX_UNFINISHED = 100
"""Beyond it deliver is busy, and has what to do until the next fetch; the fetch also knows when to stop."""

_CREATE_TIME = 0


class Shortcut:
    """Hands stored records to the agent that would fetch them.

    Args:
        app: reads their stream.
        acker: of the agent.
    """

    def __init__(self, app: BatchApp, acker: BatchAcker) -> None:
        self._app = app
        self._acker = acker

    async def take(self, records: Sequence[Outgoing], stored: Sequence[RecordMetadata]) -> None:
        """Passes on what comes next in its partition; all else is fetched.

        Args:
            records: what was appended.
            stored: where each stands.
        """
        if len(records) + self._acker.unfinished() > MAX_UNFINISHED:
            return
        runs: dict[TP, list[ConsumerRecord]] = {}
        for record, metadata in zip(records, stored, strict=True):
            if (metadata.log_start_offset or 0) < 0:
                return  # the broker had it already, and tells no offset
            runs.setdefault(TP(metadata.topic, metadata.partition), []).append(_as_fetched(record, metadata))
        for tp, run in runs.items():
            await self._app.consumer.hand_over(tp, run)


def _as_fetched(record: Outgoing, metadata: RecordMetadata) -> ConsumerRecord:
    key, value = record.key or b"", record.value or b""
    return ConsumerRecord(
        topic=metadata.topic,
        partition=metadata.partition,
        offset=metadata.offset,
        timestamp=metadata.timestamp,
        timestamp_type=_CREATE_TIME,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=len(key),
        serialized_value_size=len(value),
        headers=tuple(record.headers),
    )
