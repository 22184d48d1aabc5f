"""Lengths of time as people type them: 90 (seconds), 250ms, 2s, 5m, 1h, 7d."""

import re
from datetime import UTC, datetime, timedelta

import typer

UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
MAX_S = 10 * 365 * 86_400.0
"""Ten years: nothing is kept for longer, and the calendar ends somewhere."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw]?)")


def seconds(text: str) -> float:
    """Read a length of time, in seconds.

    Raises:
        typer.BadParameter: it is none, or longer than `MAX_S`.
    """
    match = _DURATION.fullmatch(text.strip())
    length_s = float(match[1]) * UNITS_S[match[2]] if match else MAX_S + 1
    if length_s > MAX_S:
        raise typer.BadParameter(f"{text!r} is no length of time, such as 250ms, 2s, 5m, 1h or 7d")
    return length_s


def moment(text: str) -> str:
    """Read a point in time, RFC 3339 or a length of time before now; returns RFC 3339 in UTC.

    It is fixed here, once: a list that is read page by page must not lose its beginning on the way.

    Raises:
        typer.BadParameter: it is neither.
    """
    if _DURATION.fullmatch(text.strip().removeprefix("-")):
        return _shown(datetime.now(UTC) - timedelta(seconds=seconds(text.strip().removeprefix("-"))))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time, such as 1h, 7d or 2026-01-02T03:04:05Z") from None
    return _shown(found.astimezone(UTC))  # without a zone it is this machine's own


def _shown(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
