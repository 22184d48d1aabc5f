"""How long tables keep their rows: what the settings say, made so at each start.

ClickHouse drops a whole part when its last row has expired, so rows live up to a week longer than they must (a month in
`operations` and the hourly tables).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from projections.sealing.marks import read_marks, store_mark
from projections.sealing.seal import complete_from_s, seal
from runtime.clickhouse import Client
from runtime.settings import Settings

log = structlog.get_logger(__name__)

_DAYS = re.compile(r" TTL \w+(?:\(\w+\))? \+ toIntervalDay\((\d+)\)")


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a table keeps its rows.

    Attributes:
        since: SQL for the time of a row from which they count.
        days: how many.
    """

    since: str
    days: int


def kept_of(settings: Settings) -> Mapping[str, Kept]:
    """How long each table that forgets keeps its rows; the others keep them for ever."""
    days = settings.retention_days
    return {
        "events": Kept("toDateTime(received_at)", days),
        "dispatches": Kept("toDateTime(received_at)", days),
        "deliveries": Kept("toDateTime(created_at)", days),
        "attempts": Kept("toDateTime(started_at)", days),
        "rejections": Kept("toDateTime(received_at)", settings.retention_rejections_days),
        "operations": Kept("toDateTime(at)", settings.retention_operations_days),
        "projection_errors": Kept("toDateTime(appended_at)", settings.retention_errors_days),
        "stats_by_subscription": Kept("hour", settings.retention_stats_days),
        "stats_by_topic": Kept("hour", settings.retention_stats_days),
    }


def apply_retention(client: Client, settings: Settings) -> list[str]:
    """Changes the tables whose retention is another one now, and gives their names; the rows that are there follow.

    Cheap on a large table: what is computed anew is when its parts expire, from one column; nothing else is rewritten.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer; call again.
    """
    changed = []
    for table, kept in kept_of(settings).items():
        before = _days_of(client, table)
        if before == kept.days:
            continue
        if table == "attempts":
            _spare_hours(client, before, kept.days)
        client.command(f"ALTER TABLE {table} MODIFY TTL {kept.since} + INTERVAL {int(kept.days)} DAY DELETE")
        log.info("retention_changed", table=table, days=kept.days)
        changed.append(table)
    return changed


def _days_of(client: Client, table: str) -> int | None:
    (row,) = client.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        parameters={"table": table},
    ).result_rows
    found = _DAYS.search(row[0])
    return int(found[1]) if found else None


def _spare_hours(client: Client, before: int | None, days: int) -> None:
    # Before the first attempt goes: what is about to be dropped is counted, and no process counts it again after that.
    if before is not None and days < before:
        seal(client, before)
    marks = read_marks(client)
    store_mark(client, marks._replace(complete_from_s=complete_from_s(marks, days)), 0, 0, 0)
