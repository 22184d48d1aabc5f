"""What happened around an event: repetitions, replays, operations about it, and the configuration that was in force."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from projections.query.shown import Document, shown_row
from runtime.clickhouse import Client
from schemas.headers import epoch_ms, rfc3339
from schemas.ids import ulid_time_ms

DEDUP_MS = 25 * 3_600_000
"""What has the same id within 24 hours is a repetition; an hour for clocks that differ."""

MAX_ROWS = 200
"""Of each kind: whoever has more of one reads the list."""

MAX_SUBSCRIPTIONS = 100
"""An event may have 100,000; those beyond are in `hooklog config`."""

_AT = "fromUnixTimestamp64Milli({{{}:Int64}}, 'UTC')"


@dataclass(frozen=True, slots=True)
class Concerned:
    """What the configuration is looked at for.

    Attributes:
        since_ms: when it began, epoch milliseconds.
        until_ms: when it ended; `None` while it has not.
    """

    source_id: str
    topic_id: str
    subscription_ids: Sequence[str]
    since_ms: int
    until_ms: int | None


def read_config_in_force(client: Client, concerned: Concerned) -> list[Document]:
    """The version of each record when it began: kind, id, version, and who made it when."""
    found = client.query(
        "SELECT kind, id, argMax((version, at, actor, action), intake_offset) AS newest"  # noqa: S608 - names are ours
        f" FROM config_changes FINAL WHERE {_RECORDS} AND at <= {_AT.format('since')} GROUP BY kind, id"
        " HAVING tupleElement(newest, 4) != 'deleted' ORDER BY kind, id",
        parameters=_parameters(concerned),
    )
    names = ("version", "updated_at", "updated_by", "action")
    return [
        shown_row({"kind": kind, "id": name, **dict(zip(names[:3], _values(newest)[:3], strict=True))})
        for kind, name, newest in found.result_rows
    ]


def config_steps(client: Client, concerned: Concerned) -> list[Document]:
    """Changes of these records while it went on."""
    until = "" if concerned.until_ms is None else f" AND at <= {_AT.format('until')}"
    found = client.query(
        "SELECT at, kind, id, action, version, actor, intake_offset FROM config_changes FINAL"  # noqa: S608 - ours
        f" WHERE {_RECORDS} AND at > {_AT.format('since')}{until} ORDER BY at, intake_offset"
        " LIMIT 1 BY kind, intake_offset LIMIT {rows:UInt32}",
        parameters=_parameters(concerned) | {"until": concerned.until_ms or 0, "rows": MAX_ROWS},
    )
    steps = []
    for row in map(shown_row, found.named_results()):
        told = {name: row[name] for name in ("kind", "id", "action", "version")}
        steps.append({"at": row["at"], "what": "config_changed"} | told | {"updated_by": row["actor"]})
    return steps


_RECORDS = (
    "(kind = 'sources' AND id = {source:String} OR kind = 'topics' AND id = {topic:String}"
    " OR kind = 'subscriptions' AND id IN {subscriptions:Array(String)})"
    " AND result = 'applied' AND action != 'nothing'"
)


def _parameters(concerned: Concerned) -> dict[str, object]:
    return {
        "source": concerned.source_id,
        "topic": concerned.topic_id,
        "subscriptions": list(concerned.subscription_ids)[:MAX_SUBSCRIPTIONS],
        "since": concerned.since_ms,
    }


def repetition_steps(client: Client, dispatch: Document) -> list[Document]:
    """Events that were sent again after this one, and so were not delivered."""
    received_ms = epoch_ms(dispatch["received_at"])
    found = client.query(
        "SELECT received_at AS at, event_id FROM dispatches FINAL WHERE topic_id = {topic:String}"  # noqa: S608 - ours
        f" AND received_at >= {_AT.format('since')} AND received_at <= {_AT.format('until')}"
        " AND duplicate AND duplicate_of = {place:String} ORDER BY at, event_id LIMIT {rows:UInt32}",
        parameters={
            "topic": dispatch["topic_id"],
            "since": received_ms - DEDUP_MS,
            "until": received_ms + DEDUP_MS,
            "place": f"{dispatch['event_partition']}/{dispatch['event_offset']}",
            "rows": MAX_ROWS,
        },
    )
    return [
        {"at": row["at"], "what": "repeated", "event_id": row["event_id"]}
        for row in map(shown_row, found.named_results())
    ]


def first_event_id(client: Client, dispatch: Document) -> str | None:
    """The event that a duplicate repeats, as far as it is still known."""
    partition, _, offset = dispatch["duplicate_of"].partition("/")
    if not (partition.isdigit() and offset.isdigit()):
        return None
    found = client.query(
        "SELECT event_id FROM dispatches FINAL WHERE topic_id = {topic:String}"  # noqa: S608 - names are ours
        f" AND received_at >= {_AT.format('since')} AND event_partition = {{partition:UInt16}}"
        " AND event_offset = {offset:UInt64} LIMIT 1",
        parameters={
            "topic": dispatch["topic_id"],
            "since": max(0, epoch_ms(dispatch["received_at"]) - DEDUP_MS),
            "partition": int(partition),
            "offset": int(offset),
        },
    )
    return next((event_id for (event_id,) in found.result_rows), None)


def replay_steps(client: Client, replay_ids: Iterable[str]) -> list[Document]:
    """Replays that delivered it again, and single resends, which have an id alone."""
    wanted = sorted(set(replay_ids) - {""})[:MAX_ROWS]
    if not wanted:
        return []
    found = client.query(
        "SELECT replay_id, created_at, updated_at, state, requested_by FROM replays FINAL"
        " WHERE replay_id IN {ids:Array(String)}",
        parameters={"ids": wanted},
    )
    rows = {row["replay_id"]: row for row in map(shown_row, found.named_results())}
    return [step for replay_id in wanted for step in _replay_steps(replay_id, rows.get(replay_id))]


def _replay_steps(replay_id: str, replay: Document | None) -> list[Document]:
    if replay is None:
        return [{"at": rfc3339(ulid_time_ms(replay_id) or 0), "what": "resent", "replay_id": replay_id}]
    told = {name: replay[name] for name in ("replay_id", "state", "requested_by")}
    steps = [{"at": replay["created_at"], "what": "replayed"} | told]
    if replay["state"] == "CANCELLED":
        steps.append({"at": replay["updated_at"], "what": "replay_cancelled", "replay_id": replay_id})
    return steps


def operation_steps(client: Client, column: str, value: str, since_ms: int) -> list[Document]:
    """Operations about it.

    Args:
        client: reads.
        column: `event_id` or `delivery_id`.
        value: of the column.
        since_ms: before it there are none, epoch milliseconds.
    """
    found = client.query(
        "SELECT at, operation_id, kind, subscription_id, delivery_id, message FROM operations FINAL"  # noqa: S608 - ours
        f" WHERE {column} = {{id:String}} AND at >= {_AT.format('since')} ORDER BY at, operation_id"
        " LIMIT {rows:UInt32}",
        parameters={"id": value, "since": since_ms, "rows": MAX_ROWS},
    )
    return [{"at": row["at"], "what": "operation"} | row for row in map(shown_row, found.named_results())]


def _values(state: object) -> Sequence[object]:
    return tuple(state.values()) if isinstance(state, dict) else tuple(state)  # type: ignore[arg-type]
