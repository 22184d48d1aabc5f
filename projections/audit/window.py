"""The time that an audit is about, and its parts: a table is never held in memory whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

SLOT_MS = 60_000
"""Sums are compared by minute: what does not add up is then looked for among some thousand events."""

DAY_MS = 86_400_000

ATTEMPTS_BEFORE_MS = 3_600_000
"""How much earlier than its event an attempt may claim to have started: clocks differ, but not by an hour."""


@dataclass(frozen=True, slots=True)
class Window:
    """Events received from `since_ms` to just before `until_ms`, epoch milliseconds, with all that came of them.

    Dispatches, deliveries and attempts carry the time of their event, so that no edge cuts an event from its attempts.
    """

    since_ms: int
    until_ms: int

    def days(self) -> Iterator["Window"]:
        """Its parts, each within one day (UTC)."""
        begin = self.since_ms
        while begin < self.until_ms:
            end = min(self.until_ms, (begin // DAY_MS + 1) * DAY_MS)
            yield Window(begin, end)
            begin = end

    def of_slots(self, slots: list[int]) -> Self:
        """As much of it as these minutes need."""
        first, last = min(slots) * SLOT_MS, (max(slots) + 1) * SLOT_MS
        return type(self)(max(self.since_ms, first), min(self.until_ms, last))

    def parameters(self) -> dict[str, object]:
        """What the conditions bind."""
        return {"since": self.since_ms, "until": self.until_ms, "started": self.since_ms - ATTEMPTS_BEFORE_MS}


def within(column: str) -> str:
    """SQL that holds within the window."""
    return (
        f"{column} >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"
        f" AND {column} < fromUnixTimestamp64Milli({{until:Int64}}, 'UTC')"
    )


ATTEMPT_WITHIN = f"{within('received_at')} AND started_at >= fromUnixTimestamp64Milli({{started:Int64}}, 'UTC')"
"""The same of attempts, whose table is divided by the time at which they started."""


def slot(column: str) -> str:
    """SQL of the minute that a row belongs to."""
    return f"intDiv(toUnixTimestamp64Milli({column}), {SLOT_MS})"
