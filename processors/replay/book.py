"""What one partition of the replays stream says: which replays have not ended, and how far each is."""

from dataclasses import dataclass, field

import structlog
from aiokafka import ConsumerRecord

from schemas.headers import MalformedRecordError
from schemas.replay import Cancel, Chunk, Replay, ReplayState, decode_replay_record, is_copy

log = structlog.get_logger(__name__)

ORPHAN_MS = 600_000
"""After it a chunk without a replay is of a request that failed: whoever asked has had an answer long ago."""


@dataclass(slots=True)
class Entry:
    """A replay that has not ended.

    Attributes:
        first_offset: of its first record.
        first_ms: epoch milliseconds at which that was appended.
        chosen: by choice, where each chunk stands, and how many items it has.
        replay: how far it is; `None` before the replay itself is there.
        cancelled: whether somebody has ended it.
    """

    first_offset: int
    first_ms: int
    chosen: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    replay: Replay | None = None
    cancelled: bool = False

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """Those of the replay."""
        return self.chosen.get(self.replay.choice, []) if self.replay else []

    @property
    def whole(self) -> bool:
        """Whether all of it is known; what a zombie says of a replay that has ended is not."""
        return self.replay is not None and sum(count for _, count in self.chunks) == self.replay.items

    @property
    def broken(self) -> bool:
        """Whether a replay was asked for whose chunks, which stand before it, are not there: it can only be ended."""
        return self.replay is not None and self.replay.state is ReplayState.PENDING and not self.whole


class Book:
    """The replays of one partition, by applying its records in order.

    Attributes:
        position: the offset after the last record that was applied.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.position = 0
        self._ended: set[str] = set()

    def apply(self, record: ConsumerRecord) -> None:
        """Takes one record; one that cannot be read is told and left."""
        self.position = record.offset + 1
        if is_copy(record.headers):
            return
        try:
            said = decode_replay_record(record.value)
        except MalformedRecordError as error:
            log.warning("replay_unreadable", partition=record.partition, offset=record.offset, error=str(error))
            return
        if said.replay_id in self._ended:
            return
        entry = self.entries.setdefault(said.replay_id, Entry(record.offset, record.timestamp))
        if isinstance(said, Chunk):
            entry.chosen.setdefault(said.choice, []).append((record.offset, len(said.items)))
        elif isinstance(said, Cancel):
            entry.cancelled = True
        elif said.state.ended:
            self._ended.add(said.replay_id)
            del self.entries[said.replay_id]
        elif entry.replay is None or said.position > entry.replay.position:
            entry.replay = said  # of two workers for a moment, the one that is further

    def to_commit(self, now_ms: int) -> int:
        """From where on records must be read again: the first of all replays that have not ended.

        Args:
            now_ms: epoch milliseconds, of a moment at which everything up to the end had been read: else what a worker
                has not read for ten minutes would look like a request that failed.
        """
        live = [
            entry.first_offset for entry in self.entries.values() if entry.whole or now_ms - entry.first_ms < ORPHAN_MS
        ]
        return min(live, default=self.position)
