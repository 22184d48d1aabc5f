"""JSON values of records: read strictly, and failing in one way only."""

from typing import TypeVar

import msgspec

from schemas.headers import MalformedRecordError

T = TypeVar("T")


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
