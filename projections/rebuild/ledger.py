"""What is known of rebuilds: a table that outlives the process, and that other processes see."""

import secrets
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from runtime.clickhouse import Client

State = Literal["RUNNING", "SWAPPING", "DONE", "FAILED"]

OPEN: tuple[State, ...] = ("RUNNING", "SWAPPING")

STALE_S = 150
"""After it nobody works on a rebuild that says so: more than twice the longest statement, which is cut off at 60 s."""


@dataclass(slots=True)
class Rebuild:
    """A rebuild and how far it is; the columns of `rebuilds` say what each field means."""

    rebuild_id: str
    owner: str
    requested_by: str
    state: State = "RUNNING"
    records: int = 0
    records_total: int = 0
    carried: int = 0
    reason: str = ""
    tables: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)


_COLUMNS = ", ".join(one.name for one in fields(Rebuild))


@dataclass(frozen=True, slots=True)
class Known:
    """A rebuild as the table tells it.

    Attributes:
        idle_s: seconds since somebody worked on it, by ClickHouse's clock.
    """

    rebuild: Rebuild
    updated_at: datetime
    idle_s: int

    @property
    def held(self) -> bool:
        """Whether somebody is at work on it."""
        return self.rebuild.state in OPEN and self.idle_s < STALE_S


def new_owner() -> str:
    """A name of this run of this process."""
    return secrets.token_hex(8)


def write(client: Client, rebuild: Rebuild) -> None:
    """Tells how far it is.

    Raises:
        ClickHouseError, OSError: it is not stored.
    """
    client.raw_insert("rebuilds", insert_block=msgspec.json.encode(asdict(rebuild)), fmt="JSONEachRow")


def latest(client: Client) -> Known | None:
    """The rebuild that goes on, else the one that began last: who begins at the same moment gives up, and is no news.

    Raises:
        ClickHouseError, OSError: ClickHouse does not answer.
    """
    found = known(client)
    return found[0] if found else None


def known(client: Client, most: int = 10) -> list[Known]:
    """The last rebuilds: first those that are open, and the newest first.

    Raises:
        ClickHouseError, OSError: ClickHouse does not answer.
    """
    result = client.query(
        f"SELECT updated_at, {_COLUMNS}, dateDiff('second', updated_at, now64(6)) AS idle_s"  # noqa: S608 - our own
        " FROM rebuilds FINAL"
        " ORDER BY state IN {open:Array(String)} DESC, rebuild_id DESC LIMIT {most:UInt32}",
        parameters={"most": most, "open": list(OPEN)},
    )
    return [_known(row) for row in result.named_results()]


def _known(row: dict[str, Any]) -> Known:
    idle_s, updated_at = row.pop("idle_s"), row.pop("updated_at")
    return Known(Rebuild(**row), updated_at if updated_at.tzinfo else updated_at.replace(tzinfo=UTC), idle_s)
