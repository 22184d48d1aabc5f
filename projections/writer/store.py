"""Inserts a batch. A row that ClickHouse refuses is found and recorded, and keeps nothing else from being stored."""

import re
from collections.abc import Sequence

import structlog
from clickhouse_connect.driver.exceptions import DatabaseError

from projections.writer.batch import Batch, Entry, Place
from projections.writer.errors import refused_row
from runtime.clickhouse import Client

log = structlog.get_logger(__name__)

PARSE_CODES = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        25,  # CANNOT_PARSE_ESCAPE_SEQUENCE: half of a surrogate pair
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        72,  # CANNOT_PARSE_NUMBER: negative where there is no sign
        376,  # CANNOT_PARSE_UUID
    }
)
"""The row is wrong. Any other code is about the server or the schema, and is tried again until it is mended."""


SLICE_ROWS = 500
"""Tried again for each bad row of it: fewer would make more parts, more would be parsed again and again."""

_AT_ROW = re.compile(r"\(at row (\d{1,9})\)")


def store(client: Client, batch: Batch) -> list[Place]:
    """Inserts every table of a batch, and gives the records whose rows were refused.

    What is stored leaves the batch: after an error, a second call goes on where the first one failed.

    Raises:
        ClickHouseError, OSError: ClickHouse is away, full or misconfigured; nothing was lost, call again.
    """
    refused = []
    for table in list(batch.tables):
        errors = insert_entries(client, table, batch.tables[table])
        if errors:
            rows = b"\n".join(refused_row(table, entry, reason) for entry, reason in errors)
            client.raw_insert("projection_errors", insert_block=rows, fmt="JSONEachRow")
        refused += [entry.place for entry, _ in errors]
        del batch.tables[table]
    return refused


def insert_entries(client: Client, table: str, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Inserts rows into one table, and gives those that it refuses, with ClickHouse's reason.

    One bad row fails a whole insert, and nothing of it is stored. So slices are tried, and a slice again without the
    row that ClickHouse names, until it is taken: one row in a hundred bad makes a batch ten times as long. Halving
    until a bad row stands alone made it seventy times as long.
    """
    error = _refusal(client, table, entries)
    if error is None:
        return []
    if len(entries) <= SLICE_ROWS:
        return _without_bad(client, table, list(entries), error)
    slices = [entries[start : start + SLICE_ROWS] for start in range(0, len(entries), SLICE_ROWS)]
    return [refused for part in slices for refused in insert_entries(client, table, part)]


def _without_bad(
    client: Client, table: str, entries: list[Entry], error: DatabaseError | None
) -> list[tuple[Entry, str]]:
    refused = []
    while error is not None:
        entry = entries.pop(_named_row(error, len(entries)))
        # What the message names is a hint: only a row that is refused alone is bad.
        alone = _refusal(client, table, [entry])
        if alone is not None:
            log.warning("row_refused", table=table, place=entry.place, code=alone.code)
            refused.append((entry, str(alone)))
        error = _refusal(client, table, entries)
    return refused


def _refusal(client: Client, table: str, entries: Sequence[Entry]) -> DatabaseError | None:
    """Why ClickHouse cannot read the rows; nothing when they are stored."""
    if not entries:
        return None
    try:
        client.raw_insert(table, insert_block=b"\n".join([entry.json for entry in entries]), fmt="JSONEachRow")
    except DatabaseError as error:
        if error.code not in PARSE_CODES:
            raise
        return error
    return None


def _named_row(error: DatabaseError, rows: int) -> int:
    match = _AT_ROW.search(str(error))
    named = int(match[1]) - 1 if match else 0
    return named if 0 <= named < rows else 0
