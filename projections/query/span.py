"""The time that a question is about: from `since` until just before `until`."""

import re
from dataclasses import dataclass

from runtime.problem import ProblemError
from schemas.headers import MAX_INTEGER, MalformedRecordError, epoch_ms

DEFAULT_MS = 86_400_000
"""A day: what people ask about, and quick to read at any size."""

MAX_MS = 31 * 86_400_000
"""The longest month: more is read with SQL, or in several questions."""

MAX_DIGITS = 15
"""Of a duration or of epoch milliseconds, until the year 9999."""

_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(rf"-([0-9]{{1,{MAX_DIGITS}}})([smhd])")
_EPOCH_MS = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Span:
    """From `since_ms` to just before `until_ms`, epoch milliseconds; `None` is without an end."""

    since_ms: int
    until_ms: int | None

    def condition(self, column: str) -> str:
        """SQL that holds within the span; it binds `since` and, with an end, `until`."""
        sql = f"{column} >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"
        return (
            sql if self.until_ms is None else f"{sql} AND {column} < fromUnixTimestamp64Milli({{until:Int64}}, 'UTC')"
        )

    def parameters(self) -> dict[str, int]:
        """What `condition` binds."""
        return {"since": self.since_ms} | ({} if self.until_ms is None else {"until": self.until_ms})


def time_ms(text: str, now_ms: int) -> int:
    """The epoch milliseconds of RFC 3339 text, of epoch milliseconds, or of a duration ago such as `-15m` or `-7d`.

    Raises:
        ValueError: it is none of these.
    """
    if ago := _AGO.fullmatch(text):
        return max(0, now_ms - int(ago[1]) * _UNIT_MS[ago[2]])
    if _EPOCH_MS.fullmatch(text):
        return min(int(text), MAX_INTEGER)
    try:
        return epoch_ms(text)
    except (MalformedRecordError, OverflowError) as error:
        message = "use RFC 3339 with a zone, epoch milliseconds, or a duration ago such as -15m, -24h or -7d"
        raise ValueError(message) from error


def checked_time(text: str) -> str:
    """The text, if `time_ms` can read it.

    Raises:
        ValueError: it cannot.
    """
    time_ms(text, 0)
    return text


def span_of(since: str | None, until: str | None, now_ms: int, *, max_ms: int = MAX_MS, place: str = "query") -> Span:
    """The span that two parameters ask for: the last day when they are not there.

    Args:
        since: its beginning, as asked.
        until: its end, as asked.
        now_ms: epoch milliseconds.
        max_ms: how long it may be.
        place: where they were given, `query` or `body`.

    Raises:
        ProblemError: 422, naming the parameter that is wrong.
    """
    until_ms = None if until is None else parameter_ms(f"{place}.until", until, now_ms)
    end_ms = now_ms if until_ms is None else until_ms
    since_ms = max(0, end_ms - DEFAULT_MS) if since is None else parameter_ms(f"{place}.since", since, now_ms)
    if until is not None and since_ms > end_ms:
        raise wrong_parameter(f"{place}.until", "is before since")
    if end_ms - since_ms > max_ms:
        raise wrong_parameter(
            f"{place}.since", f"the time from since until until is longer than {max_ms // 86_400_000} days"
        )
    return Span(since_ms, until_ms)


def parameter_ms(field: str, text: str, now_ms: int) -> int:
    """The time that a parameter is, epoch milliseconds.

    Args:
        field: where it stands, such as `query.since`.
        text: as asked.
        now_ms: epoch milliseconds.

    Raises:
        ProblemError: 422, it is none.
    """
    try:
        return time_ms(text, now_ms)
    except ValueError as error:
        raise wrong_parameter(field, str(error)) from error


def wrong_parameter(field: str, message: str) -> ProblemError:
    """The problem that names a parameter."""
    detail = f"{field.partition('.')[2]}: {message}"
    return ProblemError(422, detail=detail, errors=[{"field": field, "message": message}])
