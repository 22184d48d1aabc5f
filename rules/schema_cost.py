"""How much work a JSON Schema can make of one value: counted before it is used, because a small one can be endless.

Sixty definitions that each apply the next one twice are two kilobytes, and 2^60 checks. What is counted here is an
upper bound: all that applies to one value, whichever value of the body that is. Without recursion a schema is a tree
of finite depth, so that one pass over it is enough.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote

MAX_PATH = 200
"""Keywords, names and indexes from the whole schema to its innermost one, references followed: some seventy schemas."""

MAX_PARTS = 2_000
"""Schemas in one schema, an expression as ten: what is counted and compiled between two events, within 0.1 s."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_INDEX = re.compile(r"0|[1-9][0-9]{0,6}")  # RFC 6901, section 4
_BRANCH = 5
"""Measured: a branch that fails costs about five times a check that holds."""

_DEAR = {"multipleOf": 60, "uniqueItems": 10}
"""As above: a division that is exact, and a sort."""

_UNBOUNDED = ("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties")
_PARTS_OF_EXPRESSION = 10
_OLDER = ("dependencies", "additionalItems")
"""Of earlier drafts: the library applies the first one all the same, and nobody applies the second."""

_LISTS = ("allOf", "anyOf", "oneOf")
_BRANCHING = ("anyOf", "oneOf", "not", "if", "const")
_SINGLE = ("not", "if", "then", "else")


class UncountableError(ValueError):
    """Refuse the schema: its work has no bound, or it leads elsewhere. The message has the place."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one value may cost.

    Attributes:
        checks: keywords that are looked at, a failing branch as several.
        patterns: weight of the regular expressions that are run over its text or over one of its names.
    """

    checks: int = 0
    patterns: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.checks + other.checks, self.patterns + other.patterns)

    def most(self, other: "Load") -> "Load":
        """The larger of both, each figure by itself."""
        return Load(max(self.checks, other.checks), max(self.patterns, other.patterns))


Levels = list[Load]
"""The load of a value, then of the values in it, and so on down."""

Weigh = Callable[[str], int]
"""What a byte costs a regular expression at worst; `ValueError` when it is none that can be used."""


def load_of(schema: Mapping[str, Any], weigh: Weigh) -> tuple[Load, int]:
    """The most that any one value of a body can cost, and how many parts the schema has.

    Raises:
        UncountableError: there is no such bound, or a reference leads out of the schema.
    """
    if schema.get("$schema", DRAFT) not in (DRAFT, f"{DRAFT}#"):
        raise UncountableError("/$schema: must be left out, or say draft 2020-12")
    counting = _Count(schema, weigh)
    total = Load()
    for level in counting.levels(schema, ()):
        total = total.most(level)
    return total, counting.parts


def referred(root: Any, reference: str) -> Any:
    """What a reference into the same schema, such as `#/$defs/money`, leads to.

    Raises:
        LookupError: nothing.
    """
    value = root
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and _INDEX.fullmatch(name):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value[name]
        else:
            raise LookupError(reference)
    return value


class _Count:
    def __init__(self, root: Mapping[str, Any], weigh: Weigh) -> None:
        self._root = root
        self._weigh = weigh
        self._counted: dict[str, Levels] = {}
        self._open: set[str] = set()
        self.parts = 0

    def levels(self, schema: Any, place: tuple[str, ...]) -> Levels:
        self._count(1)
        if not isinstance(schema, dict):
            return [Load(1)]  # true and false; anything else is refused by the schema of schemas
        if len(place) > MAX_PATH:
            raise UncountableError(f"{_pointer(place)}…: too many schemas within one another")
        for keyword in _UNBOUNDED:
            if keyword in schema:
                raise UncountableError(f"{_pointer((*place, keyword))}: cannot be used here: its work has no bound")
        for keyword in _OLDER:
            if keyword in schema:
                raise UncountableError(f"{_pointer((*place, keyword))}: is of an earlier draft than 2020-12")
        for keyword in ("$id", "$schema"):
            if keyword in schema and place:
                raise UncountableError(f"{_pointer((*place, keyword))}: only the whole schema may have one")
        below = [Load(), *self._below(schema, place)]
        return _plus([[self._own(schema, place)], *self._in_place(schema, place), below])

    def _in_place(self, schema: Mapping[str, Any], place: tuple[str, ...]) -> list[Levels]:
        found = [self.levels(schema[name], (*place, name)) for name in _SINGLE if name in schema]
        for name in _LISTS:
            found += [self.levels(item, (*place, name, str(at))) for at, item in enumerate(_list(schema.get(name)))]
        found += self._of_map(schema, "dependentSchemas", place)
        return found + ([self._referred(schema["$ref"], place)] if "$ref" in schema else [])

    def _below(self, schema: Mapping[str, Any], place: tuple[str, ...]) -> Levels:
        def single(name: str) -> list[Levels]:
            return [self.levels(schema[name], (*place, name))] if name in schema else []

        named = _most([*self._of_map(schema, "properties", place), *single("additionalProperties")])
        by_pattern = self._of_map(schema, "patternProperties", place)
        matched = [[Load(1, self._weight(text, (*place, "patternProperties")))] for text in _names(schema)]
        members = _plus([named, *by_pattern, *matched, *single("propertyNames")])
        prefix = [self.levels(item, (*place, "prefixItems")) for item in _list(schema.get("prefixItems"))]
        distinct = [[Load(_DEAR["uniqueItems"])]] if schema.get("uniqueItems") else []
        items = _plus([_most([*prefix, *single("items")]), *single("contains"), *distinct])
        return _most([members, items])

    def _of_map(self, schema: Mapping[str, Any], name: str, place: tuple[str, ...]) -> list[Levels]:
        found = schema.get(name)
        if not isinstance(found, dict):
            return []
        return [self.levels(item, (*place, name, key)) for key, item in found.items()]

    def _referred(self, reference: Any, place: tuple[str, ...]) -> Levels:
        where = _pointer((*place, "$ref"))
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise UncountableError(f"{where}: must lead to a place in this schema, such as #/$defs/money")
        if reference in self._open:
            raise UncountableError(f"{where}: {reference[:200]} leads back to itself")
        if reference not in self._counted:
            self._open.add(reference)
            try:
                meant = referred(self._root, reference)
            except LookupError:
                raise UncountableError(f"{where}: there is no {reference[:200]}") from None
            self._counted[reference] = self.levels(meant, (*place, "$ref"))
            self._open.discard(reference)
        return self._counted[reference]

    def _own(self, schema: Mapping[str, Any], place: tuple[str, ...]) -> Load:
        pattern = schema.get("pattern")
        weight = self._weight(pattern, (*place, "pattern")) if isinstance(pattern, str) else 0
        return Load(_checks(schema), weight)

    def _count(self, parts: int) -> None:
        self.parts += parts
        if self.parts > MAX_PARTS:
            raise UncountableError(f"has more than {MAX_PARTS} parts, each expression as {_PARTS_OF_EXPRESSION}")

    def _weight(self, text: str, place: tuple[str, ...]) -> int:
        self._count(_PARTS_OF_EXPRESSION)
        try:
            return self._weigh(text)
        except ValueError as error:
            raise UncountableError(f"{_pointer(place)}: {error}") from None


def _names(schema: Mapping[str, Any]) -> Iterable[str]:
    found = schema.get("patternProperties")
    return found if isinstance(found, dict) else ()


def _checks(schema: Mapping[str, Any]) -> int:
    checks = max(1, len(schema)) + _BRANCH * sum(name in schema for name in _BRANCHING)
    checks += _DEAR["multipleOf"] * ("multipleOf" in schema)
    checks += sum(_BRANCH * len(_list(schema.get(name))) for name in ("anyOf", "oneOf"))
    checks += len(_list(schema.get("required"))) + _size(schema.get("dependentRequired"))
    checks += _size(schema.get("const"))
    checks += sum(_BRANCH * _size(item) if isinstance(item, dict | list) else 1 for item in _list(schema.get("enum")))
    return checks


def _size(value: Any) -> int:
    """How many values a value is."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else int(value is not None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _plus(many: Iterable[Levels]) -> Levels:
    return [sum(level, Load()) for level in zip_longest(*many, fillvalue=Load())]


def _most(many: Iterable[Levels]) -> Levels:
    found: Levels = []
    for levels in many:
        found = [left.most(right) for left, right in zip_longest(found, levels, fillvalue=Load())]
    return found


def _pointer(place: Iterable[str]) -> str:
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in place)[:200] or "/"
