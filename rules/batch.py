"""The items of a batch: each one's exact bytes, cut out of the body that was received and never written anew."""

from typing import TypeVar

import msgspec

from rules.told import Item

MAX_ITEMS = 500
"""As Kinesis' PutRecords; a Kubernetes API server sends 400 audit events. Each costs a quarter of a request of its own,
and meanwhile the process answers nobody else: 500 are a pause of some 20 ms."""

ARRAY = frozenset({"application/json"})
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
"""What senders write; none is registered with IANA."""

_T = TypeVar("_T")
_BROKEN = (msgspec.DecodeError, RecursionError)  # the second of 1,000 brackets, and nobody sends so many
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder(msgspec.Raw)


class NoBatchError(ValueError):
    """Refuse the whole: it cannot be cut into items."""


class TooManyItemsError(ValueError):
    """Refuse the whole: the sender is to send smaller batches."""


def array_items(body: bytes) -> list[Item]:
    """The elements of a JSON array, without the blanks around them.

    Raises:
        NoBatchError: it is none.
        TooManyItemsError: there are more than `MAX_ITEMS`.
    """
    try:
        found = _ARRAY.decode(body)
    except _BROKEN as error:
        raise NoBatchError(f"the body is no JSON array: {error}") from error
    return [Item(bytes(one)) for one in _bounded(found)]


def line_items(body: bytes) -> list[Item]:
    """The lines of NDJSON, without their ends; blank lines are passed over, and one that is no JSON has a fault.

    Raises:
        TooManyItemsError: there are more than `MAX_ITEMS`.
    """
    lines = [line.removesuffix(b"\r") for line in body.split(b"\n") if line.strip()]
    return [_line(line) for line in _bounded(lines)]


def require_few(items: list[_T]) -> list[_T]:
    """The items, when a batch may have as many.

    Raises:
        TooManyItemsError: there are more than `MAX_ITEMS`.
    """
    return _bounded(items)


def _bounded(found: list[_T]) -> list[_T]:
    if len(found) > MAX_ITEMS:
        raise TooManyItemsError(f"a batch has at most {MAX_ITEMS} items; this one has {len(found)}")
    return found


def _line(line: bytes) -> Item:
    try:
        _ANY.decode(line)
    except _BROKEN as error:
        return Item(line, fault=f"the line is no JSON: {error}", fault_code="malformed")
    return Item(line)
