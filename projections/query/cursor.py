"""Cursors: where a page ended, so that the next one goes on there, whatever was stored in the meantime."""

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from projections.query.span import Span
from runtime.problem import ProblemError
from schemas.headers import MAX_INTEGER

MAX_CURSOR_CHARS = 4_096
"""The ids in a sort key have at most some hundred characters."""

Key = tuple[int | str, ...]
"""The sort key of a row; times are epoch milliseconds."""


class KeyColumn(NamedTuple):
    """One column of a sort key.

    Attributes:
        name: the column, or an expression.
        type: ClickHouse's type of the value; a `DateTime64` is bound in milliseconds.
        max: the largest value of a number; 0 means text.
    """

    name: str
    type: str
    max: int

    def bound(self, position: int) -> str:
        """SQL for the value of the cursor at this place of the key."""
        if self.type == "DateTime64":
            return f"fromUnixTimestamp64Milli({{k{position}:Int64}}, 'UTC')"
        return f"{{k{position}:{self.type}}}"

    def holds(self, value: int | str) -> bool:
        """Whether the column can have this value."""
        if isinstance(value, str):
            return self.max == 0
        return 0 <= value <= self.max and self.max > 0


def moment_key(name: str) -> KeyColumn:
    """A column that is a time."""
    return KeyColumn(name, "DateTime64", MAX_INTEGER)


def text_key(name: str) -> KeyColumn:
    """A column that is text."""
    return KeyColumn(name, "String", 0)


def number_key(name: str, bits: int) -> KeyColumn:
    """A column that is a whole number without a sign."""
    return KeyColumn(name, f"UInt{bits}", (1 << bits) - 1)


PLACE = (number_key("_partition", 16), number_key("_offset", 64))
"""The record of a row: it tells two rows apart that agree in all else."""


class Position(msgspec.Struct, array_like=True, frozen=True):
    """What a cursor holds: the question that it belongs to, its span, and the key of the last row."""

    question: str
    since_ms: int
    until_ms: int | None
    key: Key

    @property
    def span(self) -> Span:
        """The span of the first page, which all pages keep."""
        return Span(self.since_ms, self.until_ms)


_DECODER = msgspec.json.Decoder(Position)


def question_id(name: str, parameters: str) -> str:
    """Names a question: a cursor serves no other.

    Args:
        name: of the list.
        parameters: all that decides which rows are in it, and in which order.
    """
    return blake2b(f"{name}\0{parameters}".encode(errors="surrogatepass"), digest_size=8).hexdigest()


def encode_cursor(position: Position) -> str:
    """The text of a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(text: str, question: str, columns: Sequence[KeyColumn]) -> Position:
    """The position in a cursor.

    Raises:
        ProblemError: 400, it is none of ours, or belongs to another question.
    """
    position = _decoded(text)
    if position.question != question:
        raise ProblemError(400, "cursor_of_another_list", "a cursor goes on only with the parameters of its first page")
    fits = len(position.key) == len(columns) and all(
        column.holds(value) for column, value in zip(columns, position.key, strict=True)
    )
    times = (position.since_ms, position.since_ms if position.until_ms is None else position.until_ms)
    if not fits or not all(0 <= time <= MAX_INTEGER for time in times):
        raise _malformed()
    return position


def _decoded(text: str) -> Position:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return _DECODER.decode(raw)
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise _malformed() from error


def _malformed() -> ProblemError:
    return ProblemError(400, "cursor_malformed", "the cursor is none of ours; leave it out to begin again")


def after(columns: Sequence[KeyColumn], *, descending: bool) -> str:
    """SQL that holds for the rows that come after the cursor's; it binds what `key_parameters` gives.

    The comparison of the first column alone says nothing new, but the index is asked with it.
    """
    sign = "<" if descending else ">"
    names = ", ".join(column.name for column in columns)
    values = ", ".join(column.bound(position) for position, column in enumerate(columns))
    return f"{columns[0].name} {sign}= {columns[0].bound(0)} AND ({names}) {sign} ({values})"


def key_parameters(key: Key) -> dict[str, int | str]:
    """What `after` binds."""
    return {f"k{position}": value for position, value in enumerate(key)}


def order_by(columns: Sequence[KeyColumn], *, descending: bool) -> str:
    """SQL that sorts by the key."""
    return ", ".join(f"{column.name} {'DESC' if descending else 'ASC'}" for column in columns)
