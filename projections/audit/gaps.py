"""Says of offsets without a row whether one should be there, by reading the records themselves.

Not every record leaves a row of its own: leases, the parts of a replay, and what a later record took the place of.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from projections.audit.coverage import TABLES, Gap, Place
from projections.audit.offender import Offender, of_record
from projections.writer.rows import PROJECTIONS
from runtime.clickhouse import Client
from schemas.streams import ATTEMPTS, DISPATCHES, EVENTS, OPERATIONS, REJECTIONS, REPLAYS

MAX_LOOKS = 2_000
"""Records that one audit reads: within a second or two."""

MAX_LOOKS_A_GAP = 200
"""Of a longer gap the beginning stands for the whole."""

_KEYS = {DISPATCHES.name: "event_id", OPERATIONS.name: "operation_id", REPLAYS.name: "replay_id"}
"""Streams of which a later record with the same key takes the place of an earlier row."""

_EXPIRES_BY = {
    EVENTS.name: "received_at",
    REJECTIONS.name: "received_at",
    DISPATCHES.name: "received_at",
    ATTEMPTS.name: "started_at",
    OPERATIONS.name: "at",
}
"""Columns from which the rows of a stream count their time; its record may have been appended long after that."""

_BY_STATE = {REPLAYS.name}
"""Of these the furthest state stays, in whatever order it was told."""

_ROWS_OF = {projection.stream.name: projection.rows for projection in PROJECTIONS}
_DO = "hooklog sql shows what is there; the tables have lost a row: hooklog projections rebuild"


@dataclass
class Missing:
    """What the records in gaps say.

    Attributes:
        kept_ms: gives since when the rows of a stream are surely kept, epoch milliseconds.
        alone: by place, offsets whose record must have a row of its own.
        replaced: by stream and key, records that another row may have taken the place of.
    """

    kept_ms: Callable[[str], int]
    alone: dict[Place, list[int]] = field(default_factory=lambda: defaultdict(list))
    replaced: dict[str, dict[str, list[tuple[Place, int, dict[str, Any]]]]] = field(default_factory=dict)

    def take(self, place: Place, record: ConsumerRecord) -> None:
        """Judges the record at one offset."""
        try:
            rows = _ROWS_OF[place[0]](record)
        except ValueError:
            self.alone[place].append(record.offset)  # it cannot be read, and no error was recorded
            return
        if not rows:
            return
        cells = msgspec.json.decode(rows[0].json.decode(errors="replace"))  # a body need not be UTF-8
        if self._expired(place[0], cells):
            return
        key = _KEYS.get(place[0])
        if key is None:
            self.alone[place].append(record.offset)
            return
        self.replaced.setdefault(place[0], defaultdict(list))[cells[key]].append((place, record.offset, cells))

    def _expired(self, stream: str, cells: dict[str, Any]) -> bool:
        time = _EXPIRES_BY.get(stream)
        return time is not None and cells[time] * 1000 < self.kept_ms(stream)

    def judge(self, client: Client) -> list[Offender]:
        """Offenders: dispatches with another result than the one that is kept, and everything that is not there."""
        found = []
        for stream, records in self.replaced.items():
            kept = _kept(client, stream, list(records))
            for key, some in records.items():
                for place, offset, cells in some:
                    rows = [row for row in kept.get(key, []) if stream in _BY_STATE or row["_offset"] > offset]
                    if not rows:
                        self.alone[place].append(offset)
                    elif stream == DISPATCHES.name and any(_differs(cells, row) for row in rows):
                        found.append(of_record("dispatched_twice", key, f"offset {offset} of dispatches[{place[1]}]"))
        return found + [_row_missing(gap) for place, offsets in self.alone.items() for gap in _runs(place, offsets)]


def _kept(client: Client, stream: str, keys: list[str]) -> dict[str, list[dict[str, Any]]]:
    key = _KEYS[stream]
    result = client.query(
        f"SELECT * FROM {TABLES[stream]} FINAL WHERE {key} IN {{keys:Array(String)}}",  # noqa: S608 - names are ours
        parameters={"keys": keys},
    )
    kept = defaultdict(list)
    for row in result.named_results():
        kept[str(row[key])].append(dict(row))
    return kept


def _differs(cells: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether two dispatches of one event disagree, as far as the same subscriptions explain."""
    if (cells["event_partition"], cells["event_offset"]) != (row["event_partition"], row["event_offset"]):
        return False  # the same id, accepted twice
    if cells["duplicate"] != row["duplicate"]:
        return True
    return bool(cells["config_version"] == row["config_version"] and cells["matched"] != row["matched"])


def _runs(place: Place, offsets: Iterable[int]) -> list[Gap]:
    runs: list[Gap] = []
    for offset in sorted(offsets):
        if runs and runs[-1].last == offset - 1:
            runs[-1] = runs[-1]._replace(last=offset)
        else:
            runs.append(Gap(place, offset, offset))
    return runs


def _row_missing(gap: Gap) -> Offender:
    text = f"{gap.records} records of {gap.place[0]} are in Kafka and have neither a row nor an error in the tables"
    return Offender("row_missing", gap.text, text, _DO)


def row_beyond(place: Place, offset: int, end: int) -> Offender:
    """A row of an offset that the log has not reached."""
    do = "hooklog doctor; was the stream made again, or did somebody write into the tables?"
    text = f"there is a row of offset {offset}, and the stream ends before {end}"
    return Offender("row_extra", Gap(place, offset, offset).text, text, do)


def row_crowded(at: Gap) -> Offender:
    """Rows of different records at one offset."""
    do = f"hooklog sql, of {TABLES[at.place[0]]} WHERE _partition = {at.place[1]} AND _offset = {at.first}"
    return Offender("row_extra", at.text, "there are rows of different records of this one offset", do)
