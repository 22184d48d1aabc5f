"""Inserts a batch. A row that ClickHouse refuses is found and recorded, and keeps nothing else from being stored."""

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

    One bad row fails a whole insert, so halves are tried until it stands alone: two in 10,000 cost 50 inserts.
    """
    if not entries:
        return []
    try:
        client.raw_insert(table, insert_block=b"\n".join(entry.json for entry in entries), fmt="JSONEachRow")
    except DatabaseError as error:
        if error.code not in PARSE_CODES:
            raise
        if len(entries) == 1:
            log.warning("row_refused", table=table, place=entries[0].place, code=error.code)
            return [(entries[0], str(error))]
        middle = len(entries) // 2
        return insert_entries(client, table, entries[:middle]) + insert_entries(client, table, entries[middle:])
    return []
