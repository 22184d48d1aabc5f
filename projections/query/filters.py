"""Filters as SQL. Column names are this module's own; what a caller sent is always bound."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel

from projections.query.span import Span

EXACT: Mapping[str, str] = {
    "topic_id": "String",
    "source_id": "String",
    "subscription_id": "String",
    "event_id": "String",
    "delivery_id": "String",
    "dedup_id": "String",
    "replay_id": "String",
    "reason": "String",
    "code": "String",
    "kind": "String",
    "subject_kind": "String",
    "subject_id": "String",
    "response_status_code": "UInt16",
}
"""Columns that are compared as they are, and their types."""

_DISPATCHED = ("topic_id", "source_id", "event_type")
"""Columns of events that dispatches have as well."""


class Condition(NamedTuple):
    """SQL that holds for the rows that are wanted, and what it binds."""

    sql: str
    parameters: dict[str, object]


def conditions_of(question: BaseModel) -> list[Condition]:
    """A condition for each filter that is set, of those that compare one column."""
    conditions = []
    for name, value in question:
        if value is None or value == []:
            continue
        if name in EXACT:
            conditions.append(Condition(f"{name} = {{{name}:{EXACT[name]}}}", {name: value}))
        elif name == "schema_valid":
            conditions.append(Condition(f"schema_fault {'=' if value else '!='} ''", {}))
        elif name == "event_type":
            conditions.append(_of_type(value))
        elif name == "status":
            states = [value] if isinstance(value, str) else list(value)
            conditions.append(Condition("status IN {status:Array(String)}", {"status": states}))
    return conditions


def _of_type(pattern: str) -> Condition:
    if "*" not in pattern:
        return Condition("event_type = {event_type:String}", {"event_type": pattern})
    return Condition("event_type LIKE {event_type:String}", {"event_type": like_of(pattern)})


def like_of(pattern: str) -> str:
    """A pattern of ours, where only `*` has a meaning, as one of LIKE."""
    for meant in ("\\", "%", "_"):
        pattern = pattern.replace(meant, "\\" + meant)
    return pattern.replace("*", "%")


def dispatched_conditions(
    status: str | None, duplicate: bool | None, span: Span, others: Sequence[Condition]
) -> list[Condition]:
    """What becomes of events stands in `dispatches`; these hold for events by what is there.

    Args:
        status: QUEUED, there is a dispatch; RECEIVED, there is none yet.
        duplicate: there is one that says so.
        span: of the events; a dispatch has its event's time.
        others: conditions on the events, to read fewer dispatches.
    """
    within = [span.condition("received_at")]
    within += [item.sql for item in others if item.sql.startswith(_DISPATCHED)]
    chosen = f"SELECT event_id FROM dispatches FINAL WHERE {' AND '.join(within)}"  # noqa: S608 - names are ours
    conditions = []
    if status is not None:
        membership = "IN" if status == "QUEUED" else "NOT IN"
        conditions.append(Condition(f"event_id {membership} ({chosen})", {}))
    if duplicate is not None:
        said = "duplicate" if duplicate else "NOT duplicate"
        conditions.append(Condition(f"event_id IN ({chosen} AND {said})", {}))
    return conditions
