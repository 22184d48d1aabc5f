"""Which fields of a config record changed."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from projections.query.shown import Document
from schemas.stored import SHOWN_ONLY


def read_record(text: str) -> Document:
    """A record as it is stored in `config_changes`; nothing where there is none."""
    return dict(orjson.loads(text)) if text else {}


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Document]:
    """A row for each field that differs, by its JSON pointer: `before` and `after`, `null` where it is not there.

    Objects are compared field by field, all else as a whole; what Hooklog itself stamps is left out.
    """
    stamped = set(SHOWN_ONLY)
    plain = [{name: value for name, value in record.items() if name not in stamped} for record in (before, after)]
    return list(_differences("", *plain))


def _differences(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Document]:
    for name in sorted({*before, *after}):
        pointer = f"{where}/{name.replace('~', '~0').replace('/', '~1')}"
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(pointer, old, new)
        elif old != new or type(old) is not type(new):
            yield {"pointer": pointer, "before": old, "after": new}
