"""Holds the rows of each stream against the offsets of the log: which are there, which are not, which are too many."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from projections.writer.rows import PROJECTIONS
from runtime.clickhouse import Client
from schemas.streams import ATTEMPTS, DELIVERIES, DISPATCHES, EVENTS, OPERATIONS, OUTCOMES, REJECTIONS, REPLAYS

Place = tuple[str, int]
"""A stream, without the prefix, and a partition."""

BLOCK = 65_536
"""Offsets that are counted together: one container of a bitmap, so that ten million cost a second and two megabytes."""

MAX_GAPS = 1_000
"""Of one stream that are looked at; what is beyond is counted."""

TABLES: Mapping[str, str] = {
    EVENTS.name: "events",
    REJECTIONS.name: "rejections",
    DISPATCHES.name: "dispatches",
    ATTEMPTS.name: "attempts",
    OUTCOMES.name: "config_changes",
    OPERATIONS.name: "operations",
    REPLAYS.name: "replays",
}
"""By stream, those whose rows keep the place of their record. A row of `deliveries` has the place of what it heard
last, so that stream is held against its events and attempts instead."""

_NAMES = {
    EVENTS.name: "event_id",
    REJECTIONS.name: "rejection_id",
    DISPATCHES.name: "event_id",
    ATTEMPTS.name: "(delivery_id, attempt, kind, status)",
    OUTCOMES.name: "(kind, id, version)",
    OPERATIONS.name: "operation_id",
    REPLAYS.name: "replay_id",
}
"""What tells rows of different records apart."""

assert set(TABLES) | {DELIVERIES.name} == {projection.stream.name for projection in PROJECTIONS}


class Extent(NamedTuple):
    """Offsets from `begin` to just before `end`."""

    begin: int
    end: int


class Gap(NamedTuple):
    """Offsets of a stream without a row."""

    place: Place
    first: int
    last: int

    @property
    def records(self) -> int:
        """How many at most."""
        return self.last - self.first + 1

    @property
    def text(self) -> str:
        """Its name, for people and programs."""
        stream, partition = self.place
        end = f"-{self.last}" if self.last > self.first else ""
        return f"{stream}[{partition}]/{self.first}{end}"


class _Block(NamedTuple):
    """How many offsets of a block have a row, and how many rows they have."""

    offsets: int
    rows: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What there is of one stream.

    Attributes:
        rows: offsets with a row, or with an error that says why there is none.
        gaps: those without, the first of them.
        missing: how many offsets have neither.
        crowded: single offsets of which there are rows of different records.
    """

    rows: int
    gaps: list[Gap]
    missing: int
    crowded: list[Gap]


def read_coverage(client: Client, stream: str, extents: Mapping[Place, Extent]) -> Coverage:
    """Which offsets of a stream have a row.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    wanted = {place: extent for place, extent in extents.items() if place[0] == stream and extent.end > extent.begin}
    if not wanted:
        return Coverage(0, [], 0, [])
    found = _blocks(client, stream, wanted)
    gaps: list[Gap] = []
    for place, extent in wanted.items():
        for block in _blocks_of(extent):
            there = found.get((place[1], block.begin // BLOCK), _Block(0, 0)).offsets
            if there < block.end - block.begin and len(gaps) < MAX_GAPS:
                gaps += _gaps_in(client, place, block)
    rows = sum(block.offsets for block in found.values())
    missing = sum(extent.end - extent.begin for extent in wanted.values()) - rows
    # Rows that are not merged yet are there twice as well, but in few blocks.
    twice = [place for place, block in found.items() if block.rows > block.offsets]
    return Coverage(rows, gaps[:MAX_GAPS], missing, _crowded(client, stream, twice) if twice else [])


def _blocks_of(extent: Extent) -> list[Extent]:
    begins = [extent.begin, *range((extent.begin // BLOCK + 1) * BLOCK, extent.end, BLOCK)]
    return [Extent(begin, min(extent.end, (begin // BLOCK + 1) * BLOCK)) for begin in begins]


def _blocks(client: Client, stream: str, wanted: Mapping[Place, Extent]) -> dict[tuple[int, int], _Block]:
    size = max(partition for _, partition in wanted) + 1
    bounds = [wanted.get((stream, number), Extent(0, 0)) for number in range(size)]
    result = client.query(
        f"SELECT _partition, intDiv(_offset, {BLOCK}) AS block, groupBitmap(_offset), count() FROM ({_rows(stream)})"  # noqa: S608 - names are ours, values are bound
        " WHERE _offset >= {begins:Array(UInt64)}[_partition + 1] AND _offset < {ends:Array(UInt64)}[_partition + 1]"
        " GROUP BY _partition, block",
        parameters={
            "stream": stream,
            "begins": [extent.begin for extent in bounds],
            "ends": [extent.end for extent in bounds],
        },
    )
    return {(int(row[0]), int(row[1])): _Block(int(row[2]), int(row[3])) for row in result.result_rows}


def _crowded(client: Client, stream: str, blocks: list[tuple[int, int]]) -> list[Gap]:
    """Offsets of which there are rows of different records."""
    result = client.query(
        f"SELECT _partition, _offset FROM {TABLES[stream]} WHERE (_partition, intDiv(_offset, {BLOCK}))"  # noqa: S608 - as above
        " IN {blocks:Array(Tuple(UInt64, UInt64))} GROUP BY _partition, _offset"
        f" HAVING uniqExact({_NAMES[stream]}) > 1"
        f" ORDER BY _partition, _offset LIMIT {MAX_GAPS}",
        parameters={"blocks": blocks},
    )
    return [Gap((stream, int(partition)), int(at), int(at)) for partition, at in result.result_rows]


def _gaps_in(client: Client, place: Place, block: Extent) -> list[Gap]:
    """Where nothing is, of one block."""
    result = client.query(
        f"SELECT DISTINCT _offset FROM ({_rows(place[0])}) WHERE _partition = {{partition:UInt16}}"  # noqa: S608 - as above
        " AND _offset >= {begin:UInt64} AND _offset < {end:UInt64} ORDER BY _offset",
        parameters={"stream": place[0], "partition": place[1], "begin": block.begin, "end": block.end},
    )
    return gaps_between(place, block, [int(row[0]) for row in result.result_rows])


def gaps_between(place: Place, extent: Extent, offsets: list[int]) -> list[Gap]:
    """The gaps that these offsets leave.

    Args:
        place: whose they are.
        extent: from where to where.
        offsets: that are there, in order, each once.
    """
    bounds = [extent.begin - 1, *offsets, extent.end]
    return [Gap(place, before + 1, after - 1) for before, after in pairwise(bounds) if after - before > 1]


def _rows(stream: str) -> str:
    # Without FINAL: also a row that another one is to take the place of shows that its record was read.
    return (
        f"SELECT _partition, _offset FROM {TABLES[stream]}"  # noqa: S608 - as above
        " UNION ALL SELECT _partition, _offset FROM projection_errors WHERE stream = {stream:String}"
    )


def read_newest(client: Client, stream: str) -> dict[Place, int]:
    """The highest offset of which there is a row, by partition."""
    rows = client.query(f"SELECT _partition, max(_offset) FROM {TABLES[stream]} GROUP BY _partition").result_rows  # noqa: S608 - as above
    return {(stream, int(partition)): int(offset) for partition, offset in rows}
