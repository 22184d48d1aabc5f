"""Rows of `projection_errors`: what could not become a row, and why."""

import msgspec

from projections.writer.batch import Entry, Place
from projections.writer.cells import moment, raw_text
from projections.writer.rows import Row

MAX_SAMPLE_BYTES = 16_384
"""Enough to see what it was; the record itself stays in Kafka for as long as its stream keeps it."""

MAX_REASON_BYTES = 1_000
"""ClickHouse quotes the row in its message."""


EXPIRED = "records_expired"
"""Code of the rows that are made of no record."""


def unreadable_row(place: Place, value: bytes | None, reason: str) -> Row:
    """For a record that is none of ours."""
    return _row(place, "", "unreadable", reason, value or b"")


def refused_row(table: str, entry: Entry, reason: str) -> bytes:
    """For a row that ClickHouse does not take."""
    return _row(entry.place, table, "refused", reason, entry.json).json


def expired_row(place: Place, reason: str) -> Row:
    """For records that Kafka had dropped before they were read; the place is the first one that is missing."""
    return _row(place, "", EXPIRED, reason, b"")


def _row(place: Place, table: str, code: str, reason: str, sample: bytes) -> Row:
    cells = {
        "stream": place.stream,
        "_partition": place.source.partition,
        "_offset": place.offset,
        "appended_at": moment(place.appended_ms),
        "table_name": table,
        "code": code,
        "reason": raw_text(reason.encode(errors="replace")[:MAX_REASON_BYTES]),
        "record": raw_text(sample[:MAX_SAMPLE_BYTES]),
    }
    return Row("projection_errors", msgspec.json.encode(cells))
