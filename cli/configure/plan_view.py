"""Shows a plan to people, in colour, and to programs, an object a change; never a secret or a credential."""

import json
from typing import TYPE_CHECKING, Any

from cli.configure.plan import Action, Change, FieldChange
from cli.show import cell

if TYPE_CHECKING:
    from rich.text import Text

_SIGNS = {Action.CREATE: ("+", "green"), Action.UPDATE: ("~", "yellow"), Action.DELETE: ("-", "red")}


def lines(change: Change) -> list["Text"]:
    """A line for the record, and one for each of its fields."""
    from rich.text import Text

    sign, colour = _SIGNS[change.action]
    place = f"  ({change.place})" if change.place else ""
    return [
        Text.assemble((f"{sign} {change.name}", colour), (place, "dim")),
        *(Text(f"    {_field(field, change.action)}") for field in change.fields),
    ]


def as_object(change: Change) -> dict[str, Any]:
    """The change for programs."""
    return {
        "kind": change.kind.name,
        "id": change.id,
        "action": str(change.action),
        "place": change.place or None,
        "fields": [{"field": item.field, "before": item.before, "after": item.after} for item in change.fields],
    }


def counted(changes: list[Change], words: dict[Action, str]) -> str:
    """Such as `3 created, 1 updated, 0 deleted, 12 unchanged`."""
    counts = {action: sum(change.action is action for change in changes) for action in words}
    return ", ".join(f"{counts[action]} {word}" for action, word in words.items())


def _field(field: FieldChange, action: Action) -> str:
    before, after = field.before, field.after
    if action is Action.CREATE:
        return f"{field.field}: {_value(after)}"
    if before == after:
        return f"{field.field}: {_value(after)} (another value)"
    return f"{field.field}: {_value(before)} → {_value(after)}"


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    blank = isinstance(value, str) and value.strip() != value
    return json.dumps(value, ensure_ascii=False) if value == "" or blank else cell(value)
