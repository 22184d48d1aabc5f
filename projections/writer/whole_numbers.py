"""Whole numbers that columns can hold: ClickHouse reads 70000 into 16 bits as 4464, and says nothing."""

from collections.abc import Mapping

from schemas.headers import MalformedRecordError

UINT16, UINT32, UINT64 = range(1 << 16), range(1 << 32), range(1 << 64)
INT64 = range(-(1 << 63), 1 << 63)

HELD: Mapping[str, range] = {
    "attempt": UINT16,
    "duration_ms": UINT32,
    "event_offset": UINT64,
    "event_partition": UINT16,
    "generation": INT64,
    "config_version": INT64,
    "intake_offset": UINT64,
    "matched": UINT32,
    "payload_bytes": UINT32,
    "rate_per_s": UINT32,
    "response_status_code": UINT16,
    "sent": UINT64,
    "total": UINT64,
    "unrecorded": UINT32,
    "version": INT64,
}
"""By column; those that are missing are made by us."""


def check_columns(cells: Mapping[str, object]) -> None:
    """Passes when every number fits its column.

    Raises:
        MalformedRecordError: one does not; the record is none of ours.
    """
    for name, held in HELD.items():
        if name in cells and cells[name] not in held:
            raise MalformedRecordError(f"{name} is out of range: {cells[name]}")
    check_counts(cells.get("skipped"))


def check_counts(counts: object) -> None:
    """Passes when counts by reason can be held.

    Raises:
        MalformedRecordError: one cannot.
    """
    if isinstance(counts, dict):
        for reason, count in counts.items():
            if count not in UINT64:
                raise MalformedRecordError(f"{reason} is out of range: {count}")
