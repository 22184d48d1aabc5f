"""Records of the streams as a watcher sees them: the rows that they become, without bodies."""

from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import BaseModel

from projections.query.shown import Document
from projections.writer.attempt_rows import LEFT_OUT
from projections.writer.rows import PROJECTIONS, StoredRecord
from rules.match import matches_type
from schemas.headers import rfc3339

PROJECTED = {projection.stream.name: projection for projection in PROJECTIONS}

_ZERO_IS_NONE = frozenset({"last_status_code", "response_status_code"})
_LEFT_OUT = frozenset({"payload"})
_PLAIN = ("topic_id", "source_id", "subscription_id", "event_id", "delivery_id")


def rows_of(stream: str, record: StoredRecord) -> Iterator[tuple[str, Document]]:
    """The table and the row of each row of a record; none of one that cannot be read, which the writer records."""
    try:
        rows = PROJECTED[stream].rows(record)
    except ValueError:
        return
    for row in rows:
        cells = orjson.loads(row.json.decode(errors="replace"))
        yield row.table, _shown(LEFT_OUT.get(row.table, {}) | cells)


def _shown(cells: Document) -> Document:
    document = {name: _cell(name, value) for name, value in cells.items() if name[0] != "_" and name not in _LEFT_OUT}
    if isinstance(document.get("detail"), str):
        document["detail"] = orjson.loads(document["detail"])
    return document


def _cell(name: str, value: Any) -> Any:
    if name == "at" or name.endswith("_at"):
        return rfc3339(round(value * 1000)) if value else None
    return None if name in _ZERO_IS_NONE and value == 0 else value


def is_wanted(row: Document, question: BaseModel) -> bool:
    """Whether a row is what the filters say; one that lacks what a filter is about is not."""
    for name, value in question:
        if value is None or value == []:
            continue
        if name in _PLAIN and row.get(name) != value:
            return False
        if name == "event_type" and not matches_type([value], row.get("event_type", "")):
            return False
        if name == "status" and row.get("status") not in value:
            return False
    return True
