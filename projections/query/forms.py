"""In which form a list is answered: a page as JSON, or all of it as NDJSON or CSV."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import orjson

from projections.query.cursor import Position, encode_cursor
from projections.query.listing import Page, Start
from projections.query.shown import Document

Form = Literal["json", "ndjson", "csv"]

MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
}
_FORMS: dict[str, Form] = {media_type.partition(";")[0]: form for form, media_type in MEDIA_TYPES.items()}


def form_of(asked: Form | None, accept: str) -> Form:
    """The form that a request wants: its parameter, else what its `Accept` likes best of ours, else JSON."""
    if asked is not None:
        return asked
    liked: list[tuple[float, Form]] = []
    for one in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in one.split(";"))
        if media_type in _FORMS:
            liked.append((_quality(parameters), _FORMS[media_type]))
    return max(liked, key=lambda item: item[0], default=(0.0, "json"))[1]


def _quality(parameters: Sequence[str]) -> float:
    """RFC 9110, section 12.4.2."""
    given = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


def formed(form: Form, columns: Sequence[str], start: Start, *, cursors: bool) -> Callable[[Page], bytes]:
    """Makes bytes of a page.

    Args:
        form: NDJSON, or CSV without its header.
        columns: of CSV.
        start: what the cursors belong to.
        cursors: whether each row has the cursor of what comes after it.
    """

    def rows(page: Page) -> Iterator[Document]:
        for row, key in zip(page.rows, page.keys, strict=True):
            position = Position(start.question, start.span.since_ms, start.span.until_ms, key)
            yield row | {"cursor": encode_cursor(position)} if cursors else row

    if form == "ndjson":
        return lambda page: b"".join(orjson.dumps(row) + b"\n" for row in rows(page))
    return lambda page: csv_of([row.get(column) for column in columns] for row in rows(page))


def csv_of(rows: Iterator[Sequence[Any]]) -> bytes:
    """Rows as CSV (RFC 4180): nothing is an empty cell, and what has parts is JSON."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode(errors="replace")


def _cell(value: Any) -> Any:
    if isinstance(value, bool | dict | list):
        return orjson.dumps(value).decode()
    return value
