"""How many refusals are recorded: an attacker must not fill the log, and what is dropped is counted."""

from collections import OrderedDict
from dataclasses import dataclass

RATE_PER_S = 1.0
"""Of one source in one process: a week of flood is then at most 600,000 records of a few KiB."""

BURST = 60
"""A sender whose secret was mistyped is seen whole in its first minute."""

MAX_SOURCES = 10_000
"""Remembered at a time; the one unused longest is forgotten first, and starts again with a full burst."""


@dataclass(slots=True)
class _Source:
    allowance: float
    seen_s: float
    unrecorded: int = 0


class RejectionCap:
    """A token bucket for each source.

    Args:
        rate_per_s: refusals recorded a second, for ever.
        burst: refusals recorded at once after a quiet time.
    """

    def __init__(self, rate_per_s: float = RATE_PER_S, burst: int = BURST) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def take(self, source_id: str, now_s: float) -> int | None:
        """Whether to record a refusal now.

        Args:
            source_id: the source; empty for all refusals without one together.
            now_s: seconds of a clock that never goes back.

        Returns:
            How many refusals of the source went unrecorded before this one, or `None`: leave this one out too.
        """
        source = self._sources.setdefault(source_id, _Source(float(self._burst), now_s))
        self._sources.move_to_end(source_id)
        if len(self._sources) > MAX_SOURCES:
            self._sources.popitem(last=False)
        source.allowance = min(self._burst, source.allowance + (now_s - source.seen_s) * self._rate_per_s)
        source.seen_s = now_s
        if source.allowance < 1:
            source.unrecorded += 1
            return None
        source.allowance -= 1
        unrecorded, source.unrecorded = source.unrecorded, 0
        return unrecorded
