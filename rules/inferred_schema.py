"""A first draft of a JSON Schema, made of what was seen: for a person to correct, never to be applied unread."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rules.schema_cost import DRAFT
from rules.seen_fields import Path, Seen, SeenFields

MAX_NAMES = 100
"""Of one object; more are taken for data, such as ids, and the draft says only that it is an object."""


def inferred_schema(seen: SeenFields) -> dict[str, Any]:
    """Types and members as they were seen; required is what no object lacked.

    Args:
        seen: at least one body.
    """
    below: dict[Path, list[Path]] = defaultdict(list)
    for path in seen.fields:
        if path:
            below[path[:-1]].append(path)
    return {"$schema": DRAFT} | _drafted((), seen.fields, below)


def _drafted(path: Path, fields: Mapping[Path, Seen], below: Mapping[Path, Sequence[Path]]) -> dict[str, Any]:
    types = sorted(fields[path].types)
    if "number" in types and "integer" in types:
        types.remove("integer")
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    inner = below.get(path, ())
    members = {each[-1]: each for each in inner if each[-1] is not None}
    if 0 < len(members) <= MAX_NAMES:
        schema["properties"] = {name: _drafted(each, fields, below) for name, each in sorted(members.items())}
        required = sorted(name for name, each in members.items() if fields[each].values == fields[path].objects)
        if required:
            schema["required"] = required
    for each in inner:
        if each[-1] is None:
            schema["items"] = _drafted(each, fields, below)
    return schema
