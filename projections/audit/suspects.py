"""Looks closely, event by event and delivery by delivery, at what did not add up."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from projections.audit.offender import Offender, of_record
from projections.audit.sums import ENDED
from projections.audit.window import ATTEMPT_WITHIN, Window, slot, within
from runtime.clickhouse import Client

MAX_SUSPECTS = 5_000
"""Of a window that are named and looked at a second time; what is beyond is counted."""


@dataclass(frozen=True, slots=True)
class Some:
    """Which events or deliveries to look at, as SQL that holds for them, and what it binds.

    Attributes:
        sql: with `{time}` where the time of the row's event stands.
    """

    sql: str
    parameters: dict[str, object]

    @classmethod
    def of_slots(cls, slots: list[int]) -> "Some":
        """Those of some minutes."""
        return cls(slot("{time}") + " IN {{slots:Array(Int64)}}", {"slots": slots})

    @classmethod
    def of_events(cls, ids: list[str]) -> "Some":
        """Those of these events."""
        return cls("event_id IN {{ids:Array(String)}}", {"ids": ids})

    @classmethod
    def replayed(cls) -> "Some":
        """Those that were delivered again on purpose."""
        again = f"SELECT event_id FROM deliveries FINAL WHERE replay_id != '' AND {within('created_at')}"  # noqa: S608 - names are ours, values are bound
        return cls(f"event_id IN ({again.replace('{', '{{').replace('}', '}}')})", {})

    def where(self, time: str, bounds: str) -> str:
        """The whole condition."""
        return f"{bounds} AND {self.sql.format(time=time)}"


class Suspect(NamedTuple):
    """Something that is wrong at the first look; it may only have been in motion.

    Attributes:
        event_id: of the event itself, or of the delivery's event.
    """

    event_id: str
    offender: Offender


@dataclass(frozen=True, slots=True)
class Look:
    """What a look has found.

    Attributes:
        suspects: at most `MAX_SUSPECTS`.
        wrong: how many events or deliveries are wrong in all.
        told: what is no error, and worth a line: its name to its number.
    """

    suspects: list[Suspect]
    wrong: int
    told: dict[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far dispatch is.

    Attributes:
        offsets: the last event that was dispatched, by partition; -1 where there is none.
        late_ms: an event of before that is late where dispatch has not come to it, epoch milliseconds.
    """

    offsets: list[int]
    late_ms: int

    def parameters(self) -> dict[str, object]:
        """What the question binds."""
        return {"progress": self.offsets, "late": self.late_ms}


def look_at_events(client: Client, window: Window, some: Some, progress: Progress) -> Look:
    """Events, their dispatches, and how many deliveries there are of each.

    `undispatched` is an event that dispatch has passed over, or has not come to in time; one that it has not come to
    is told as `in_flight`. `made_before` are events of which a crash cut off the dispatch after it had made deliveries,
    and the subscriptions had changed when it was done again: more was made than matched.
    """
    parameters = window.parameters() | some.parameters | progress.parameters() | {"most": MAX_SUSPECTS}
    (row,) = client.query(_event_sql(some), parameters=parameters).result_rows
    suspects = [Suspect(event_id, fault) for found in row[0] for event_id, fault in _event_faults(*found)]
    return Look(suspects, int(row[1]), {"in_flight": int(row[2]), "made_before": int(row[3])})


def _event_faults(event_id: str, kinds: list[str], matched: int, made: int, at: Any) -> list[tuple[str, Offender]]:
    place = "/".join(map(str, at)) if at else ""
    about = {
        "undispatched": f"at {place} of the stream events",
        "event_missing": f"at {place} of the stream events",
        "delivery_missing": f"matched {matched}, deliveries {made}",
        "delivery_unmatched": f"matched {matched}, deliveries {made}",
    }
    return [(event_id, of_record(kind, event_id, about.get(kind, ""))) for kind in kinds]


def _event_sql(some: Some) -> str:
    undispatched = "arrayFilter(p -> NOT has(dispatched, p), stored)"
    passed = "p.1 < length({progress:Array(Int64)}) AND p.2 <= {progress:Array(Int64)}[p.1 + 1]"
    late = f"({passed} OR last_at < fromUnixTimestamp64Milli({{late:Int64}}, 'UTC'))"
    judged = (
        f"SELECT *, arrayFilter(p -> {late}, {undispatched}) AS lost,"  # noqa: S608 - names are ours, values are bound
        f" arrayFilter(p -> NOT {late}, {undispatched}) AS waiting,"
        f" arrayFilter(p -> NOT has(stored, p), expected) AS absent, {_EVENT_FAULTS} AS faults"
        f" FROM ({_event_groups(some)})"
    )
    shown = "(event_id, faults, most_matched, made, arrayConcat(lost, absent)[1])"
    return (
        f"SELECT groupArrayIf({{most:UInt32}})({shown}, notEmpty(faults)), countIf(notEmpty(faults)),"  # noqa: S608 - as above
        " countIf(notEmpty(waiting)),"
        f" countIf(made > most_matched AND NOT has(faults, 'delivery_unmatched') AND empty(waiting)) FROM ({judged})"
    )


def _event_groups(some: Some) -> str:
    return (
        "SELECT event_id, groupUniqArrayIf(place, side = 'event') AS stored,"  # noqa: S608 - as above
        " groupUniqArrayIf(place, side = 'dispatch') AS dispatched,"
        " groupUniqArrayIf(place, side = 'dispatch' AND NOT explained) AS expected,"
        " groupUniqArrayIf((place, version, result, repeats), side = 'dispatch') AS results,"
        " maxIf(matched, side = 'dispatch') AS most_matched, maxIf(version, side = 'dispatch') AS newest,"
        " toInt64(countIf(side = 'made')) AS made, groupArrayIf(version, side = 'made') AS versions,"
        f" countIf(side = 'again') AS again, max(at) AS last_at FROM ({_event_rows(some)}) GROUP BY event_id"
    )


def _event_rows(some: Some) -> str:
    received, created = some.where("received_at", within("received_at")), some.where("created_at", within("created_at"))
    failed = "SELECT toInt64(_partition), toInt64(_offset) FROM projection_errors WHERE stream = 'events'"
    place = "(toInt64(event_partition), toInt64(event_offset))"
    return (
        "SELECT event_id, 'event' AS side, (toInt64(_partition), toInt64(_offset)) AS place, toInt64(0) AS matched,"  # noqa: S608 - as above
        " toInt64(0) AS version, received_at AS at, toUInt64(0) AS result, false AS repeats, false AS explained"
        f" FROM events FINAL WHERE {received}"
        # Without FINAL: two records of one event are both there until they are merged.
        f" UNION ALL SELECT event_id, 'dispatch', {place}, toInt64(matched), config_version, received_at,"
        f" cityHash64(matched, duplicate, duplicate_of), duplicate, {place} IN ({failed})"
        f" FROM dispatches WHERE {received}"
        " UNION ALL SELECT event_id, if(replay_id = '', 'made', 'again'), (toInt64(-1), toInt64(-1)), 0,"
        f" config_version, created_at, 0, false, false FROM deliveries FINAL WHERE {created}"
    )


# The same state of the subscriptions must lead to the same, and a duplicate is one whatever they are.
_TWICE = (
    "length(results) > length(arrayDistinct(arrayMap(r -> (r.1, r.2), results)))"
    " OR length(arrayDistinct(arrayMap(r -> (r.1, r.4), results))) > length(dispatched)"
)
# A dispatch that a crash cut off has made deliveries for an earlier state of the subscriptions.
_CURRENT = "length(arrayFilter(v -> v >= newest OR v <= 0, versions))"
_EVENT_FAULTS = (
    "arrayFilter(k -> k != '', [if(notEmpty(lost), 'undispatched', ''), if(notEmpty(absent), 'event_missing', ''),"
    " if(made < most_matched, 'delivery_missing', ''),"
    f" if(made > most_matched AND ({_CURRENT} > most_matched OR empty(dispatched)) AND empty(waiting),"
    " 'delivery_unmatched', ''),"
    f" if({_TWICE}, 'dispatched_twice', ''),"
    " if(again > 0 AND empty(dispatched), 'replay_of_nothing', '')])"
)


def look_at_deliveries(client: Client, window: Window, some: Some) -> Look:
    """Deliveries and the attempts of each; `repeated_attempts` were made again after a crash."""
    parameters = window.parameters() | some.parameters | {"most": MAX_SUSPECTS}
    (row,) = client.query(_delivery_sql(some), parameters=parameters).result_rows
    suspects = [
        Suspect(event_id, of_record(kind, delivery_id, f"state {status or 'unknown'}, attempts {made}, found {tries}"))
        for delivery_id, event_id, kinds, status, made, tries in row[0]
        for kind in kinds
    ]
    return Look(suspects, int(row[1]), {"repeated_attempts": int(row[2])})


def _delivery_sql(some: Some) -> str:
    created = some.where("created_at", within("created_at"))
    received = some.where("received_at", ATTEMPT_WITHIN)
    rows = (
        "SELECT delivery_id, event_id, true AS is_state, toInt64(attempts) AS made, toString(status) AS status,"  # noqa: S608 - as above
        f" toInt64(0) AS attempt, '' AS kind FROM deliveries FINAL WHERE {created}"
        " UNION ALL SELECT delivery_id, event_id, false, 0, toString(status), toInt64(attempt), toString(kind)"
        f" FROM attempts FINAL WHERE {received} AND kind != 'parked'"
    )
    grouped = (
        "SELECT delivery_id, any(event_id) AS of_event, countIf(is_state) AS states, maxIf(made, is_state) AS last,"  # noqa: S608 - as above
        " anyIf(status, is_state) AS state, arraySort(groupArrayIf(attempt, kind = 'attempt')) AS tries,"
        f" groupUniqArrayIf(status, NOT is_state AND {ENDED}) AS ends FROM ({rows}) GROUP BY delivery_id"
    )
    ended = ENDED.replace("status", "state")
    faults = (
        "arrayFilter(k -> k != '', [if(states = 0, 'delivery_row_missing', ''),"
        # A branch that a crash left behind may go on after the end; it has numbers of its own, but no gap.
        " if(arrayDistinct(tries) != range(1, toInt64(greatest(last, arrayMax(arrayPushBack(tries, 0)))) + 1),"
        " 'attempt_missing', ''),"
        f" if(states > 0 AND {ended} AND NOT has(ends, state), 'end_missing', ''),"
        f" if(states > 0 AND NOT {ended} AND notEmpty(ends), 'state_behind', '')])"
    )
    judged = f"SELECT *, {faults} AS faults, length(tries) - length(arrayDistinct(tries)) AS repeats FROM ({grouped})"  # noqa: S608 - as above
    shown = "(delivery_id, of_event, faults, state, last, arrayStringConcat(arrayMap(n -> toString(n), tries), ' '))"
    return (
        f"SELECT groupArrayIf({{most:UInt32}})({shown}, notEmpty(faults)), countIf(notEmpty(faults)), sum(repeats)"  # noqa: S608 - as above
        f" FROM ({judged})"
    )


def read_progress(client: Client, late_ms: int) -> Progress:
    """How far dispatch is; read before the events, so that whoever is behind it was passed over."""
    rows = client.query(
        "SELECT toInt64(event_partition), toInt64(max(event_offset)) FROM dispatches GROUP BY event_partition"
    ).result_rows
    known = dict(rows)
    return Progress([known.get(number, -1) for number in range(max(known, default=-1) + 1)], late_ms)
