"""Records of replays into rows: each tells the whole replay and how far it is."""

import msgspec

from projections.writer.cells import moment
from schemas.headers import MalformedRecordError
from schemas.ids import ulid_time_ms
from schemas.replay import Replay, ReplayState, decode_replay_record

_RANKS = {ReplayState.PENDING: 0, ReplayState.RUNNING: 1, ReplayState.CANCELLED: 2, ReplayState.DONE: 3}

_POSITION_BITS = 22
"""Four million items: above the most that a replay may have."""

_OFFSET_BITS = 40
"""A trillion records in one partition."""


def replay_cells(value: bytes | None, offset: int) -> dict[str, object] | None:
    """The cells of a replay's row; `None` for its chunks and for a request to cancel it, which its next record tells.

    Raises:
        MalformedRecordError: it is no record of a replay.
    """
    replay = decode_replay_record(value)
    if not isinstance(replay, Replay):
        return None
    created_ms = ulid_time_ms(replay.replay_id)
    if created_ms is None:
        raise MalformedRecordError("replay_id is no ULID")
    return {
        "replay_id": replay.replay_id,
        "created_at": moment(created_ms),
        "updated_at": moment(replay.updated_ms),
        "state": replay.state,
        "asked": msgspec.json.encode(replay.asked).decode(),
        "requested_by": replay.requested_by,
        "rate_per_s": replay.rate_per_s,
        "new_id": replay.new_id,
        "total": replay.total,
        "sent": replay.sent,
        "skipped": replay.skipped,
        "_version": replay_version(replay, offset),
    }


def replay_version(replay: Replay, offset: int) -> int:
    """Which row of a replay stays: that of the highest state, then of the most progress, then the last."""
    position = min(replay.position, (1 << _POSITION_BITS) - 1)
    return (_RANKS[replay.state] << _POSITION_BITS | position) << _OFFSET_BITS | offset
