"""The delay ladder: any delay, made of streams that each have one constant delay.

Within one stream the due times ascend, so nothing has to be sorted or stored beside Kafka. A delay of 7 s goes
through the 5 s stream, then twice through the 1 s stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.streams import Stream

SLACK_MS = 500
"""A hop that would end this much after the due time is still the right one: it is released at the due time."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Streams of ascending delay.

    Args:
        tiers: retry streams, shortest delay first.
        scale: shortens every delay, for demonstrations.
    """

    tiers: Sequence[Stream]
    scale: float = 1.0

    def tier_ms(self, tier: Stream) -> float:
        """How long a record stays in a tier, in milliseconds."""
        return tier.delay_s * 1_000 * self.scale

    def next_tier(self, remaining_ms: float) -> Stream | None:
        """The largest tier not above the remaining time and the slack; `None` when none is that short."""
        fitting = [tier for tier in self.tiers if self.tier_ms(tier) <= remaining_ms + SLACK_MS * self.scale]
        return fitting[-1] if fitting else None

    def release_ms(self, tier: Stream, appended_ms: float, due_ms: float) -> float:
        """When a record leaves a tier, in epoch milliseconds: after its delay, or when it is due before that."""
        return min(appended_ms + self.tier_ms(tier), due_ms)
