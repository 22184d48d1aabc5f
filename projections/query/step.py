"""Steps of figures: from `minute` to `week`, or any whole number of seconds that divides a day."""

from dataclasses import dataclass

from projections.query.span import Span

DAY_S = 86_400
HOUR_S = 3_600

NAMED_S = {"minute": 60, "hour": HOUR_S, "day": DAY_S, "week": 7 * DAY_S}
_MONDAY_S = 4 * DAY_S
"""1970 began on a Thursday, and a week begins on Monday (ISO 8601)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: each begins at a whole multiple of its length since midnight, UTC.

    Attributes:
        length_s: seconds.
    """

    length_s: int

    @property
    def of_hours(self) -> bool:
        """Whether it is made of whole hours."""
        return self.length_s % HOUR_S == 0

    @property
    def _first_s(self) -> int:
        return _MONDAY_S if self.length_s == NAMED_S["week"] else 0

    def beginning(self, column: str) -> str:
        """SQL for the beginning of the step that a time is in."""
        length_s, first_s = self.length_s, self._first_s
        return f"toDateTime(intDiv(toUnixTimestamp({column}) - {first_s}, {length_s}) * {length_s} + {first_s}, 'UTC')"

    def whole(self, span: Span) -> Span:
        """The span of all steps that a span touches, so that no figure is about a part of one."""
        length_ms, first_ms = self.length_s * 1000, self._first_s * 1000
        since_ms = (span.since_ms - first_ms) // length_ms * length_ms + first_ms
        until_ms = None if span.until_ms is None else -((first_ms - span.until_ms) // length_ms) * length_ms + first_ms
        return Span(max(0, since_ms), until_ms)


def step_of(text: str) -> Step:
    """The step of a name, or of a number of seconds.

    Raises:
        ValueError: it is neither, or does not divide a day.
    """
    if text in NAMED_S:
        return Step(NAMED_S[text])
    length_s = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(DAY_S)) else 0
    if length_s == 0 or DAY_S % length_s:
        raise ValueError(f"use {', '.join(NAMED_S)}, or a number of seconds that divides a day, such as 900")
    return Step(length_s)
