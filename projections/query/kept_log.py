"""Which events a replay finds in Kafka when it comes to them; the others are copied from the tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from projections.query.replay_selection import Selected
from projections.query.resend import DAY_MS, REFERRED_MS
from schemas.delivery import MAX_INLINE_BODY_BYTES

KEPT_MS = 29 * DAY_MS
"""The stream of events keeps 30 days; a day is for a replay that is slower than its rate."""


@dataclass(frozen=True, slots=True)
class KeptLog:
    """What the events stream keeps.

    Attributes:
        ranges: by partition, the offset of its first record, and the one after its last.
        end_ms: epoch milliseconds at which the replay will have come to its last event.
    """

    ranges: Sequence[tuple[int, int]]
    end_ms: int

    def has(self, one: Selected) -> bool:
        """Whether an event is there when its turn comes, and its body for as long as a delivery may wait for it."""
        if one.partition >= len(self.ranges):
            return False
        begin, end = self.ranges[one.partition]
        kept_ms = KEPT_MS if one.payload_bytes <= MAX_INLINE_BODY_BYTES else REFERRED_MS
        return begin <= one.offset < end and one.received_ms >= self.end_ms - kept_ms

    @property
    def condition(self) -> str:
        """The same in SQL over the columns of a selection."""
        return (
            "(at_partition < length({begins:Array(Int64)}) AND at_offset >= {begins:Array(Int64)}[at_partition + 1]"
            " AND at_offset < {ends:Array(Int64)}[at_partition + 1]"
            " AND at_ms >= if(size <= {inline:UInt32}, {small:Int64}, {large:Int64}))"
        )

    def parameters(self) -> dict[str, object]:
        """What `condition` binds."""
        return {
            "begins": [begin for begin, _ in self.ranges],
            "ends": [end for _, end in self.ranges],
            "inline": MAX_INLINE_BODY_BYTES,
            "small": self.end_ms - KEPT_MS,
            "large": self.end_ms - REFERRED_MS,
        }
