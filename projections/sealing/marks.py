"""How far the hourly figures are, and which hours have rows that they may lack.

Whoever seals notes the time before reading anything (the mark), computes every hour that got rows since the mark
before, and stores the mark last. So a row that could be read at a mark is in the figures of that mark or a later one,
and one that came after it has been written since: `_ingested_at` tells, but for the time that an insert takes from
there until it can be read. `OVERLAP_S` is more than that.

A mark is one of a table: when another table of attempts takes its place, as after a rebuild, there is none, and
everything is computed again.
"""

from datetime import datetime
from typing import NamedTuple

from runtime.clickhouse import REQUEST_TIMEOUT_S, Client

OVERLAP_S = 3 * REQUEST_TIMEOUT_S
"""An insert that takes longer than the timeout is given up and repeated, with times of its own. Twice as much again is
for a server that goes on alone for a while, and for a clock that is set back."""


class Marks(NamedTuple):
    """How far the figures are; times are epoch seconds.

    Attributes:
        now_us: of ClickHouse's clock, epoch microseconds, and later than every mark.
        mark_s: when they were complete; 0 is never.
        since_s: hours with rows written since then may lack some of them.
        complete_from_s: the attempts of earlier hours may have begun to expire.
        attempts_id: UUID of the table of attempts.
    """

    now_us: int
    mark_s: int
    since_s: int
    complete_from_s: int
    attempts_id: str


def read_marks(client: Client) -> Marks:
    """The marks that hold now.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    # A clock that was set back would make later readings look older than earlier ones.
    (row,) = client.query(
        "WITH (SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = 'attempts') AS present,"
        " maxIf(mark, attempts_id = present) AS last"
        " SELECT greatest(toUnixTimestamp64Micro(now64(6)), toUnixTimestamp64Micro(max(mark)) + 1),"
        " toUnixTimestamp(last), least(toUnixTimestamp(now()), toUnixTimestamp(last)),"
        " toUnixTimestamp(max(complete_from)), toString(present) FROM seals"
    ).result_rows
    *numbers, attempts_id = row
    now_us, mark_s, last_s, complete_from_s = map(int, numbers)
    return Marks(now_us, mark_s, max(0, last_s - OVERLAP_S), complete_from_s, attempts_id)


def unsealed_hours(client: Client, marks: Marks, first_s: int, end_s: int | None = None) -> list[int]:
    """Hours whose figures may lack rows and can be computed from the attempts; epoch seconds, in order.

    Without FINAL, which would read far more and find the same hours; the client must not force it.

    Args:
        client: to ask with.
        marks: since when.
        first_s: no earlier hours; epoch seconds.
        end_s: only hours that begin before it; epoch seconds.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    until = "" if end_s is None else " AND started_at < toDateTime({end:Int64}, 'UTC')"
    rows = client.query(
        "SELECT DISTINCT toStartOfHour(started_at) AS hour FROM attempts"  # noqa: S608 - names are ours
        " WHERE _ingested_at >= toDateTime({since:Int64}, 'UTC')"
        f" AND started_at >= toDateTime({{first:Int64}}, 'UTC'){until} ORDER BY hour",
        parameters={
            "since": marks.since_s,
            "first": max(first_s, marks.complete_from_s),
            **({} if end_s is None else {"end": end_s}),
        },
    ).result_rows
    return [_epoch_s(hour) for (hour,) in rows]


def _epoch_s(hour: datetime) -> int:
    return round(hour.timestamp())


def store_mark(client: Client, marks: Marks, mark_us: int, hours: int, took_ms: int) -> None:
    """Says that everything that could be read at `mark_us` is in the figures; 0 only raises `complete_from`.

    Raises:
        ClickHouseError: it may not have been stored.
    """
    client.command(
        "INSERT INTO seals (mark, attempts_id, complete_from, hours, took_ms)"
        " SELECT fromUnixTimestamp64Micro({mark:Int64}, 'UTC'), {attempts:UUID},"
        " toDateTime({complete_from:Int64}, 'UTC'), {hours:UInt32}, {took:UInt32}",
        parameters={
            "mark": mark_us,
            "attempts": marks.attempts_id,
            "complete_from": marks.complete_from_s,
            "hours": hours,
            "took": took_ms,
        },
    )
