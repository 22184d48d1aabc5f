"""Values as ClickHouse reads them in JSONEachRow."""

import re
from collections.abc import Iterable

import msgspec

from schemas.headers import MalformedRecordError

EARLIEST_MS = 946_684_800_000
"""2000-01-01: a record of ours from before is a mistake, and would make a table partition of its own."""

LATEST_MS = 4_102_444_800_000
"""2100-01-01, as above."""

_ESCAPED = re.compile(rb'[\x00-\x1f"\\]')


def moment(epoch_ms: int) -> float:
    """Epoch milliseconds as seconds; the shortest text of the number has the milliseconds as they were.

    ClickHouse reads whole milliseconds as seconds, without an error, and makes them the year 9999.

    Raises:
        MalformedRecordError: it is no time of this century.
    """
    if not EARLIEST_MS <= epoch_ms < LATEST_MS:
        raise MalformedRecordError(f"{epoch_ms} is no time in epoch milliseconds")
    return epoch_ms / 1000


def moment_or_none(epoch_ms: int) -> float:
    """The same, but 0 stays 1970: there is no such time."""
    return moment(epoch_ms) if epoch_ms else 0


def raw_text(value: bytes) -> str | msgspec.Raw:
    """Bytes as a JSON text; those that are no UTF-8 go as they are, which ClickHouse takes and JSON does not."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return msgspec.Raw(b'"%b"' % _ESCAPED.sub(lambda match: b"\\u%04x" % match[0][0], value))


def header_map(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name; the values of one that repeats stand in one (RFC 9110, section 5.3)."""
    values: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        values[key] = f"{values[key]}, {value}" if key in values else value
    return values
