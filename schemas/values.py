"""JSON values of records: read strictly, and failing in one way only."""

from typing import Any, TypeVar

import msgspec

from schemas.headers import MalformedRecordError

T = TypeVar("T")

MAX_DEPTH = 64
"""JSON Schemas take two levels for each of the data; what is read at 1,024 levels cannot be written at 255 (orjson)."""


def decode_value(decoder: "msgspec.json.Decoder[T]", value: bytes | None, what: str) -> T:
    """The object in a record's value.

    Args:
        decoder: of the type that is expected.
        value: the record's value; `None` is a tombstone.
        what: names the record in the error, such as `an attempt record`.

    Raises:
        MalformedRecordError: it is no such object.
    """
    try:
        return decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec lets the last two through: bytes that are no UTF-8 in a text, and nesting without end.
        raise MalformedRecordError(f"not {what}: {error}") from error


def is_too_deep(value: Any) -> bool:
    """Whether objects and lists stand in one another more than `MAX_DEPTH` times."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [node for node in level if isinstance(node, dict | list)]
        if not level:
            return False
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return True
