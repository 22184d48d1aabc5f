"""Which fields bodies have, and of which types: counted over many, and only the names and types are kept."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_FIELDS = 1_000
"""Of one event type: the longest have some hundreds. More are names made of data, such as ids."""

MAX_DEPTH = 32
"""Of fields within one another; what is deeper is not looked at."""

MAX_PATH_CHARS = 1_000
"""Of the names on the way to a field, together: longer ones are made of data, and are told of each field below them."""

Path = tuple[str | None, ...]
"""Names on the way from the whole body; `None` is any item of a list."""


@dataclass(slots=True)
class Seen:
    """What is known of one field.

    Attributes:
        events: how many had it.
        values: how many times it was there; a list has many.
        objects: how many of these were objects.
        types: events in which it was of a type, by JSON Schema's name of the type.
        first_ms: epoch milliseconds of the earliest event that had it.
        last_ms: of the latest.
    """

    events: int = 0
    values: int = 0
    objects: int = 0
    types: Counter[str] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0


class SeenFields:
    """The fields of the bodies of one event type.

    Args:
        max_fields: how many are told apart.

    Attributes:
        fields: by path; the whole body is the empty one.
        left_out: whether there were more fields, or deeper ones.
        bodies: how many were looked at.
    """

    def __init__(self, max_fields: int = MAX_FIELDS) -> None:
        self.fields: dict[Path, Seen] = {}
        self.left_out = False
        self.bodies = 0
        self._max_fields = max_fields

    def add(self, body: Any, received_ms: int) -> int:
        """Looks at one parsed body; gives how many values it has."""
        self.bodies += 1
        types: dict[Path, set[str]] = {}
        count = 0
        for path, value in _walk(body):
            count += 1
            seen = self._seen(path)
            if seen is None:
                continue
            kind = type_of(value)
            types.setdefault(path, set()).add(kind)
            seen.values += 1
            seen.objects += kind == "object"
        for path, kinds in types.items():
            _note(self.fields[path], kinds, received_ms)
        return count

    def _seen(self, path: Path) -> Seen | None:
        seen = self.fields.get(path)
        if seen is None and len(self.fields) < self._max_fields and _is_told(path):
            seen = self.fields[path] = Seen()
        self.left_out |= seen is None
        return seen


def _is_told(path: Path) -> bool:
    return len(path) <= MAX_DEPTH and sum(len(name or "*") for name in path) <= MAX_PATH_CHARS


def _note(seen: Seen, kinds: set[str], received_ms: int) -> None:
    seen.first_ms = min(seen.first_ms, received_ms) if seen.events else received_ms
    seen.last_ms = max(seen.last_ms, received_ms)
    seen.events += 1
    seen.types.update(kinds)


def _walk(body: Any) -> Iterator[tuple[Path, Any]]:
    waiting: list[tuple[Path, Any]] = [((), body)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        if len(path) > MAX_DEPTH:
            continue
        if isinstance(value, dict):
            waiting += [((*path, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            inside = (*path, None)
            waiting += [(inside, inner) for inner in value]


def type_of(value: Any) -> str:
    """The name that JSON Schema has for the type of a parsed value; a number without a fraction is an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case dict():
            return "object"
        case list():
            return "array"
    return "integer" if isinstance(value, int) or value.is_integer() else "number"


def pointer_of(path: Path) -> str:
    """A path as a JSON pointer (RFC 6901), in which `*` is any item of a list."""
    return "".join("/*" if part is None else f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
