"""Rows whose records Kafka does not keep any more: a rebuild takes them over from the tables that are there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from projections.writer.errors import EXPIRED
from runtime.clickhouse import Client
from schemas.streams import ATTEMPTS, DELIVERIES, DISPATCHES, EVENTS, OPERATIONS, OUTCOMES, REJECTIONS, REPLAYS, Stream


class Origin(NamedTuple):
    """A stream that a table's rows come from.

    Attributes:
        stream: none for rows that are made of no record; they are taken over whatever Kafka has.
        rows: a condition for its rows, where the table has rows of other streams as well.
    """

    stream: Stream | None
    rows: str = "1"


class Gap(NamedTuple):
    """Offsets of a partition that Kafka has no records of, from `first` to before `end`."""

    partition: int
    first: int
    end: int


ERRORS = "projection_errors"

_STREAMS = (EVENTS, REJECTIONS, DISPATCHES, DELIVERIES, ATTEMPTS, OUTCOMES, REPLAYS, OPERATIONS)

ORIGINS: Mapping[str, Sequence[Origin]] = {
    "events": [Origin(EVENTS)],
    "rejections": [Origin(REJECTIONS)],
    "dispatches": [Origin(DISPATCHES)],
    "attempts": [Origin(ATTEMPTS)],
    # No attempt leaves a delivery pending, and nothing else does more than make it so.
    "deliveries": [Origin(DELIVERIES, "status = 'PENDING'"), Origin(ATTEMPTS, "status != 'PENDING'")],
    "config_changes": [Origin(OUTCOMES)],
    "replays": [Origin(REPLAYS)],
    "operations": [Origin(OPERATIONS)],
    ERRORS: [
        Origin(None, f"code = '{EXPIRED}'"),
        *(Origin(stream, f"stream = '{stream.name}' AND code != '{EXPIRED}'") for stream in _STREAMS),
    ],
}
"""Every table that is made of Kafka's records, and of which."""

Gaps = Mapping[str, Iterable[Gap]]
"""By stream."""

_IN_GAP = (
    "arrayExists(gap -> gap.1 = _partition AND gap.2 <= _offset AND _offset < gap.3,"
    " {gaps:Array(Tuple(UInt16, UInt64, UInt64))})"
)


def highest_offsets(client: Client) -> dict[tuple[str, int], int]:
    """The highest offset that the tables know of each stream's partitions.

    Raises:
        ClickHouseError, OSError: ClickHouse does not answer.
    """
    highest: dict[tuple[str, int], int] = {}
    for table, origins in ORIGINS.items():
        for stream, rows in origins:
            if stream is None:
                continue
            query = f"SELECT _partition, max(_offset) FROM {table} WHERE {rows} GROUP BY _partition"  # noqa: S608 - our own
            for partition, offset in client.query(query).result_rows:
                place = (stream.name, partition)
                highest[place] = max(highest.get(place, 0), offset)
    return highest


def carry(client: Client, table: str, fresh: str, gaps: Gaps) -> Iterator[int]:
    """Copies a table's rows of the gaps, and gives how many after each of its parts: a part is a week, or a month.

    Args:
        client: of the database that is read.
        table: the table's name.
        fresh: the database that is filled.
        gaps: what Kafka lacks.

    Raises:
        ClickHouseError, OSError: nothing is lost; begin again.
    """
    columns = ", ".join(_columns(client, table))
    for stream, rows in ORIGINS[table]:
        missing = {"gaps": [tuple(gap) for gap in gaps.get(stream.name, ())]} if stream else {}
        if stream and not missing["gaps"]:
            continue
        chosen = f"FROM {table} WHERE {rows}" + (f" AND {_IN_GAP}" if stream else "")
        parts = f"SELECT _partition_id, count() {chosen} GROUP BY _partition_id"
        for part, count in client.query(parts, parameters=missing).result_rows:
            target = f"INSERT INTO `{fresh}`.{table} ({columns})"
            copied = f"{target} SELECT {columns} {chosen} AND _partition_id = {{part:String}}"
            client.command(copied, parameters=missing | {"part": part})
            yield count


def _columns(client: Client, table: str) -> list[str]:
    result = client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
        " AND default_kind IN ('', 'DEFAULT') ORDER BY position",
        parameters={"table": table},
    )
    return [f"`{name}`" for (name,) in result.result_rows]
