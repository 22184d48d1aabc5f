"""Copies events that Kafka does not keep from the tables into the replays stream, byte for byte."""

import asyncio
from dataclasses import replace

from projections.query.kept_log import KeptLog
from projections.query.readers import Readers
from projections.query.replay_request import wrong
from projections.query.replay_selection import Selected
from projections.query.stored_events import EventKey, batches, read_events
from runtime.kafka import Appender, NotStoredError, Outgoing, RecordTooLargeError
from runtime.problem import ProblemError
from schemas.replay import COPIED, encode_copy
from schemas.streams import REPLAYS

MAX_BYTES = 268_435_456
"""256 MiB of one replay: they are written once more, and read again by whoever gets the partition."""

APPEND_S = 20.0
"""What a batch of 8 MiB may take."""


class Copier:
    """Copies for one replay.

    Args:
        readers: read the events.
        appender: stores them.
        replay_id: whose they are.
        log: what need not be copied.
    """

    def __init__(self, readers: Readers, appender: Appender, replay_id: str, log: KeptLog) -> None:
        self._readers = readers
        self._appender = appender
        self._replay_id = replay_id
        self._log = log
        self._offsets: dict[str, int] = {}
        self._lost: set[str] = set()
        self._bytes = 0

    async def placed(self, page: list[Selected]) -> tuple[list[Selected], int]:
        """The rows with the places where a worker finds them, copies first; and how many cannot be had any more.

        Raises:
            ProblemError: 422, these are too many bytes; 503, Kafka did not confirm.
        """
        kept = [one for one in page if self._log.has(one)]
        wanted = [one for one in page if not self._log.has(one)]
        for batch in batches(self._keys(wanted)):
            await self._copy(batch)
        had = [one for one in wanted if one.event_id in self._offsets]
        copies = [replace(one, partition=COPIED, offset=self._offsets[one.event_id]) for one in had]
        copies.sort(key=lambda one: one.offset)
        return [*copies, *kept], len(wanted) - len(had)

    def _keys(self, wanted: list[Selected]) -> list[EventKey]:
        known = self._offsets.keys() | self._lost
        new = {one.event_id: one for one in wanted if one.event_id not in known}
        self._bytes += sum(one.payload_bytes for one in new.values())
        if self._bytes > MAX_BYTES:
            limit = f"more than {MAX_BYTES >> 20} MiB of events are not in Kafka any more"
            raise wrong("since", f"{limit}: ask for one part after the other")
        return [EventKey(one.event_id, one.received_ms, one.payload_bytes) for one in new.values()]

    async def _copy(self, batch: list[EventKey]) -> None:
        events = await self._readers.run(lambda client: read_events(client, batch))
        self._lost |= {key.event_id for key in batch} - events.keys()
        key = self._replay_id.encode()
        records = [Outgoing(REPLAYS, event.body, key, encode_copy(event)) for event in events.values()]
        try:
            async with asyncio.timeout(APPEND_S):
                stored = await self._appender.append_all(records)
        except (TimeoutError, NotStoredError) as error:
            raise ProblemError(503, detail="Kafka did not confirm; ask again", headers={"Retry-After": "5"}) from error
        except RecordTooLargeError as error:
            raise ProblemError(413, detail=str(error)) from error
        self._offsets |= {event_id: one.offset for event_id, one in zip(events, stored, strict=True)}
