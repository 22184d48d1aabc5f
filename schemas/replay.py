"""A replay: deliveries made again on purpose. What is asked for, where its events stand, and how far it is.

All records of a replay have its id as key, so they stand in one partition in the order in which they were appended:
first its chunks, then the replay itself, PENDING, then the replay again whenever it is further. Chunks without a replay
behind them are of a request that failed, and mean nothing. Events that the events stream does not keep, or not for
long enough, stand before the chunks that name them, as they stood there.
"""

from enum import StrEnum
from typing import Any

import msgspec

from schemas.event import Event, encode_event
from schemas.headers import Headers
from schemas.values import decode_value

CHUNK_ITEMS = 2_000
"""Items in one record: 150 KB with ids of ours, below the largest record with ids of some hundred characters."""

ANY_GENERATION = -1
"""Of a destination that was named: whatever the subscription is now."""


COPIED = -1
"""As the partition of an item: its event stands in the replays stream, with the chunk."""

_COPY = "hl-copy"


class ReplayState(StrEnum):
    """How far a replay is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing more follows."""
        return self in {ReplayState.DONE, ReplayState.CANCELLED}


class Destination(msgspec.Struct, frozen=True, array_like=True):
    """A subscription that gets events again.

    Attributes:
        generation: of the subscription that the delivery was made for; one made anew under its id gets nothing of it.
    """

    subscription_id: str
    generation: int = ANY_GENERATION


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One event for one subscription.

    Attributes:
        partition: where the event stands in the events stream, or `COPIED`.
        offset: as above.
        event_id: to be found there; anything else is another stream than the one that was asked about.
        destination: index into the destinations of its chunk.
    """

    partition: int
    offset: int
    event_id: str
    destination: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="chunk"):
    """Some of the items of a replay, by partition and offset.

    Attributes:
        choice: which of the requests with one idempotency key chose them.
    """

    replay_id: str
    destinations: list[Destination]
    items: list[Item]
    choice: str = ""


class Replay(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """What was asked for, and how far it is.

    Attributes:
        replay_id: a ULID; its time is that of the request.
        asked: the request as it was made.
        rate_per_s: how many items are handled in a second at most.
        new_id: whether receivers get a new `webhook-id`.
        total: how many items it has in all, those included that were skipped before it began.
        items: how many of them stand in its chunks.
        position: how many of these were handled.
        sent: how many led to a delivery.
        skipped: reason to count, of those that did not.
        updated_ms: epoch milliseconds of this record.
        choice: that of its chunks. Of two requests with one idempotency key the first that is stored counts.
    """

    replay_id: str
    asked: dict[str, Any]
    requested_by: str
    rate_per_s: int
    new_id: bool = False
    total: int
    items: int
    state: ReplayState = ReplayState.PENDING
    position: int = 0
    sent: int = 0
    skipped: dict[str, int] = {}
    updated_ms: int
    choice: str = ""


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cancel"):
    """Ends a replay: what it has not handled yet is not sent."""

    replay_id: str
    requested_by: str
    at_ms: int


ReplayRecord = Chunk | Replay | Cancel

_DECODER: "msgspec.json.Decoder[ReplayRecord]" = msgspec.json.Decoder(ReplayRecord)


def encode_replay_record(record: ReplayRecord) -> bytes:
    """A record's value, JSON."""
    return msgspec.json.encode(record)


def encode_copy(event: Event) -> list[tuple[str, bytes]]:
    """The headers of an event's copy; its value is `event.body`, as in the events stream."""
    return [*encode_event(event), (_COPY, b"1")]


def is_copy(headers: Headers) -> bool:
    """Whether a record of the stream is the copy of an event: it says nothing of a replay."""
    return any(name == _COPY for name, _ in headers)


def decode_replay_record(value: bytes | None) -> ReplayRecord:
    """What stands in a record's value.

    Raises:
        MalformedRecordError: it is no record of a replay.
    """
    return decode_value(_DECODER, value, "a replay record")
