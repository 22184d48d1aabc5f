"""The configuration as of any time, from every change that the config agent told of; secrets are masked there.

Of one kind the intake records are in one order, so that the last one before a time says what was in force then. After
a crash an outcome may have been told twice; both rows are of one intake record, and count as one.
"""

from collections.abc import Sequence
from typing import Any

from projections.query.config_changes import changes_between, read_record
from projections.query.config_questions import KINDS, ConfigQuestion, DiffQuestion, PageQuestion
from projections.query.cursor import after, key_parameters, number_key, order_by, text_key
from projections.query.filters import Condition
from projections.query.listing import Page, Start, cut
from projections.query.shown import Document, shown_row
from runtime.clickhouse import Client

RECORD_KEY = (text_key("kind"), text_key("id"))
CHANGE_KEY = (number_key("intake_offset", 64),)

_TOOK_EFFECT = "result = 'applied' AND action != 'nothing'"
_STATE = "(action, version, generation, at, actor, record)"
_NAMES = ("action", "version", "generation", "updated_at", "updated_by", "record")


def read_config(client: Client, question: ConfigQuestion, start: Start) -> Document:
    """The records that were there at the end of the start's span, by kind and id."""
    page = _grouped(
        client,
        question,
        start,
        f"argMax({_STATE}, intake_offset) AS newest",
        "tupleElement(newest, 1) != 'deleted'",
    )
    rows = [{"kind": row["kind"], "id": row["id"]} | _version(row["newest"]) for row in page.rows]
    return {"data": rows, "next_cursor": page.next_cursor}


def read_diff(client: Client, question: DiffQuestion, start: Start) -> Document:
    """The records that are not the same at the beginning and at the end of the start's span."""
    page = _grouped(
        client,
        question,
        start,
        f"argMaxIf({_STATE}, intake_offset, {_beginning('<=')}) AS old, argMax({_STATE}, intake_offset) AS new,"
        f" uniqExactIf(intake_offset, {_beginning('>')}) AS changes",
        "changes > 0 AND NOT (tupleElement(old, 1) IN ('', 'deleted') AND tupleElement(new, 1) = 'deleted')",
    )
    return {"data": [_difference(row) for row in page.rows], "next_cursor": page.next_cursor}


def read_history(client: Client, kind: str, record_id: str, question: PageQuestion, start: Start) -> Document:
    """Every change of a record and every refused one, newest first, each with the fields that it changed."""
    wanted = [
        Condition("kind = {kind:String} AND id = {id:String}", {"kind": kind, "id": record_id}),
        Condition(start.span.condition("at"), dict(start.span.parameters())),
    ]
    if start.key is not None:
        wanted.append(Condition(after(CHANGE_KEY, descending=True), dict(key_parameters(start.key))))
    rows = _rows(
        client,
        f"SELECT * FROM config_changes FINAL WHERE {_all(wanted)} ORDER BY {order_by(CHANGE_KEY, descending=True)}"  # noqa: S608 - names are ours
        " LIMIT 1 BY intake_offset LIMIT {rows:UInt32}",
        wanted,
        question.limit,
    )
    page = cut(rows, CHANGE_KEY, question.limit, start)
    return {"data": _with_changes(client, page.rows), "next_cursor": page.next_cursor}


def _with_changes(client: Client, rows: Sequence[Document]) -> list[Document]:
    if not rows:
        return []
    older = _before(client, rows[-1])
    shown = []
    for row in reversed(rows):
        newer = read_record(row["record"]) if _took_effect(row) else older
        document = shown_row(row)
        document["updated_by"] = document.pop("actor")
        document["record"] = newer if _took_effect(row) and row["action"] != "deleted" else None
        shown.append(document | {"changes": changes_between(older, newer)})
        older = newer
    return shown[::-1]


def _took_effect(row: Document) -> bool:
    return bool(row["result"] == "applied" and row["action"] != "nothing")


def _before(client: Client, row: Document) -> Document:
    """The record as it was before a change."""
    found = client.query(
        "SELECT record FROM config_changes FINAL WHERE kind = {kind:String} AND id = {id:String}"  # noqa: S608 - ours
        f" AND intake_offset < {{offset:UInt64}} AND {_TOOK_EFFECT} ORDER BY intake_offset DESC LIMIT 1",
        parameters={"kind": row["kind"], "id": row["id"], "offset": row["intake_offset"]},
    )
    return read_record(next((text for (text,) in found.result_rows), ""))


def _grouped(client: Client, question: ConfigQuestion | DiffQuestion, start: Start, figures: str, having: str) -> Page:
    wanted = [
        Condition("at <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')", dict(start.span.parameters())),
        Condition(f"kind IN {{kinds:Array(String)}} AND {_TOOK_EFFECT}", {"kinds": _kinds(question)}),
    ]
    if question.id is not None:
        wanted.append(Condition("id = {id:String}", {"id": question.id}))
    if start.key is not None:
        wanted.append(Condition(after(RECORD_KEY, descending=False), dict(key_parameters(start.key))))
    rows = _rows(
        client,
        f"SELECT kind, id, {figures} FROM config_changes FINAL WHERE {_all(wanted)} GROUP BY kind, id"  # noqa: S608 - names are ours
        f" HAVING {having} ORDER BY {order_by(RECORD_KEY, descending=False)} LIMIT {{rows:UInt32}}",
        wanted,
        question.limit,
    )
    return cut(rows, RECORD_KEY, question.limit, start)


def _kinds(question: ConfigQuestion | DiffQuestion) -> list[str]:
    return [question.kind] if question.kind else list(KINDS)


def _beginning(sign: str) -> str:
    return f"at {sign} fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"


def _all(wanted: Sequence[Condition]) -> str:
    return " AND ".join(item.sql for item in wanted)


def _rows(client: Client, query: str, wanted: Sequence[Condition], limit: int) -> list[Document]:
    parameters: dict[str, Any] = {name: value for item in wanted for name, value in item.parameters.items()}
    found = client.query(query, parameters=parameters | {"rows": limit + 1})
    return [dict(row) for row in found.named_results()]


def _difference(row: Document) -> Document:
    old, new = _version(row["old"]), _version(row["new"])
    was, is_ = old["action"] not in {"", "deleted"}, new["action"] != "deleted"
    return {
        "kind": row["kind"],
        "id": row["id"],
        "action": "updated" if was and is_ else "created" if is_ else "deleted",
        "times": row["changes"],
        "before": _stamp(old) if was else None,
        "after": _stamp(new) if is_ else None,
        "updated_at": new["updated_at"],
        "updated_by": new["updated_by"],
        "changes": changes_between(old["record"] if was else {}, new["record"] if is_ else {}),
    }


def _version(state: Any) -> Document:
    values = state.values() if isinstance(state, dict) else state
    document = shown_row(dict(zip(_NAMES, values, strict=True)))
    return document | {"record": read_record(document["record"])}


def _stamp(version: Document) -> Document:
    return {name: version[name] for name in ("version", "generation", "updated_at", "updated_by")}
