"""One pass of sealing: every hour that got attempts is computed whole and stored, then the mark.

Safe to be ended anywhere, and for several to run at once: the reading that began last stays, and what it could not see
was written after its mark, so that the next pass finds it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from projections.sealing.figures import FIGURES, HOURLY_TABLES, OF_HOURS, HourlyTable, figures_of
from projections.sealing.marks import Marks, read_marks, store_mark, unsealed_hours
from runtime.clickhouse import Client

HOUR_S = 3_600
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a pass did.

    Attributes:
        hours: how many were computed.
        mark_us: everything that could be read then is in the figures; epoch microseconds of ClickHouse's clock.
    """

    hours: int
    mark_us: int


def seal(
    client: Client, retention_days: int, at_least_s: float = 0, go_on: Callable[[], bool] = lambda: True
) -> Sealed | None:
    """Brings the hourly figures up to now.

    Args:
        client: a writing client.
        retention_days: how long attempts are kept.
        at_least_s: nothing is done when a pass, of whatever process, began later than so many seconds ago.
        go_on: asked before each step; when it says no, the pass ends there, without a mark.

    Returns:
        What was done; nothing when another pass is new enough, or it was to end.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer; nothing is lost, begin again.
    """
    began_s = time.monotonic()
    marks = read_marks(client)
    if marks.now_us / 1_000_000 - marks.mark_s < at_least_s:
        return None
    marks = marks._replace(complete_from_s=complete_from_s(marks, retention_days))
    hours = unsealed_hours(client, marks, marks.complete_from_s)
    for _, day in groupby(hours, lambda hour_s: hour_s // DAY_S):
        # A day at a time bounds what is held in memory.
        if not _seal_day(client, list(day), marks.now_us, go_on):
            return None
    if marks.former_us and not marks.mark_s:
        _empty_former(client, marks)
    took_ms = round((time.monotonic() - began_s) * 1000)
    store_mark(client, marks, marks.now_us, len(hours), took_ms)
    return Sealed(len(hours), marks.now_us)


def complete_from_s(marks: Marks, retention_days: int) -> int:
    """The first hour of which no attempt has expired; epoch seconds.

    An hour later than the first row expires, so that none does while it is read. What was passed once stays passed: a
    longer retention brings nothing back.
    """
    kept_s = marks.now_us // 1_000_000 - retention_days * DAY_S
    return max(marks.complete_from_s, (kept_s // HOUR_S + 2) * HOUR_S)


def _empty_former(client: Client, marks: Marks) -> None:
    """Sets to zero what was made of a former table of attempts, and of which the one that is there now has nothing.

    After all hours were computed, so that nobody reads zeros in the meantime. Just newer than what was made of the
    former one, and older than all that is made of the present one: another process may be further.
    """
    for table in HOURLY_TABLES:
        columns = ", ".join(("hour", *table.keys))
        client.command(
            f"INSERT INTO {table.name} ({columns}, sealed_at)"  # noqa: S608 - names are ours
            f" SELECT {columns}, fromUnixTimestamp64Micro({{former:Int64}} + 1, 'UTC') FROM {table.name} FINAL"
            " WHERE hour >= toDateTime({complete_from:Int64}, 'UTC')"
            " AND sealed_at <= fromUnixTimestamp64Micro({former:Int64}, 'UTC')",
            parameters={"former": marks.former_us, "complete_from": marks.complete_from_s},
        )


def _seal_day(client: Client, hours: list[int], mark_us: int, go_on: Callable[[], bool]) -> bool:
    for table in HOURLY_TABLES:
        if not go_on():
            return False
        client.command(
            _INSERTS[table.name],
            parameters={"mark": mark_us, "first": hours[0], "end": hours[-1] + HOUR_S, "hours": hours},
        )
    return True


def _insert(table: HourlyTable) -> str:
    columns = ", ".join(("hour", *table.keys, *FIGURES))
    within = (
        "started_at >= toDateTime({first:Int64}, 'UTC') AND started_at < toDateTime({end:Int64}, 'UTC')"
        f" AND {OF_HOURS}"
    )
    return (
        f"INSERT INTO {table.name} ({columns}, sealed_at)"  # noqa: S608 - as above
        f" SELECT {columns}, fromUnixTimestamp64Micro({{mark:Int64}}, 'UTC') FROM ({figures_of(table.keys, within)})"
    )


_INSERTS = {table.name: _insert(table) for table in HOURLY_TABLES}
