"""What a JSON Schema says of each field, so that it can be held against what is seen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rules.event_schema import matches
from rules.schema_cost import referred
from rules.seen_fields import Path, type_of

ANY = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_CONDITIONAL = ("if", "then", "else")

Schemas = Sequence[Any]


class DeclaredFields:
    """A schema, field by field.

    Args:
        schema: one that `EventSchema` takes: without recursion.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._known: dict[Path, Schemas] = {(): (schema,)}

    def declares(self, path: Path) -> bool:
        """Whether the schema names the field, be it in one branch only."""
        return bool(self._at(path))

    def types(self, path: Path) -> frozenset[str]:
        """The types that the field may have; all of them where nothing is said."""
        found = [self._types(schema) for schema in self._at(path)]
        return frozenset[str]().union(*found) if found else ANY

    def required(self, path: Path) -> frozenset[str]:
        """The names that an object at this place must have, whatever else it is."""
        names = [name for schema in self._at(path) for name in self._required(schema)]
        return frozenset(names) if len(self._at(path)) == 1 else frozenset()

    def _at(self, path: Path) -> Schemas:
        if path not in self._known:
            above = self._at(path[:-1])
            self._known[path] = [
                inner for schema in above for part in self._parts(schema) for inner in _inside(part, path[-1])
            ]
        return self._known[path]

    def _parts(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """The schema and all that may apply to the same value."""
        if not isinstance(schema, dict):
            return
        yield schema
        if "$ref" in schema:
            yield from self._parts(self._referred(schema))
        for name in _IN_PLACE:
            for inner in schema.get(name, ()):
                yield from self._parts(inner)
        for inner in (*(schema.get(name) for name in _CONDITIONAL), *schema.get("dependentSchemas", {}).values()):
            yield from self._parts(inner)

    def _types(self, schema: Any) -> frozenset[str]:
        if not isinstance(schema, dict):
            return ANY if schema else frozenset()
        found = _own_types(schema)
        if "$ref" in schema:
            found &= self._types(self._referred(schema))
        for inner in schema.get("allOf", ()):
            found &= self._types(inner)
        for name in ("anyOf", "oneOf"):
            if name in schema:
                found &= frozenset[str]().union(*map(self._types, schema[name]))
        return found

    def _required(self, schema: Any) -> Iterator[str]:
        if not isinstance(schema, dict):
            return
        yield from schema.get("required", ())
        if "$ref" in schema:
            yield from self._required(self._referred(schema))
        for inner in schema.get("allOf", ()):
            yield from self._required(inner)

    def _referred(self, schema: Mapping[str, Any]) -> Any:
        return referred(self._root, schema["$ref"])


def _own_types(schema: Mapping[str, Any]) -> frozenset[str]:
    said = schema.get("type", ANY)
    found = frozenset({said} if isinstance(said, str) else said)
    if "number" in found:
        found |= {"integer"}
    if "const" in schema:
        found &= {type_of(schema["const"])}
    return found & {type_of(value) for value in schema["enum"]} if "enum" in schema else found


def _inside(schema: Mapping[str, Any], part: str | None) -> list[Any]:
    """What the schema says of one member, or of the items of a list."""
    if part is None:
        return [*schema.get("prefixItems", ()), *(schema[name] for name in ("items", "contains") if name in schema)]
    found = [inner for expression, inner in schema.get("patternProperties", {}).items() if matches(expression, part)]
    if part in schema.get("properties", {}):
        found.append(schema["properties"][part])
    others = schema.get("additionalProperties")
    return found or ([others] if isinstance(others, dict) else [])
