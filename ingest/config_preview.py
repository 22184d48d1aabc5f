"""What a PUT would change: told before anything is written, by the only one who can compare secrets."""

from typing import Any

from schemas.config import Spec
from schemas.stored import MASK, Record, map_secrets, masked, secrets_in


def preview(spec: Spec, current: Record[Spec] | None) -> dict[str, Any]:
    """`{"action", "changed", "current", "record"}`: what there is, and what there would be, secrets masked.

    Args:
        spec: the record as it would be, secrets in the clear.
        current: the record that is there.

    Returns:
        `action` is `create`, `update` or `nothing`; `changed` names the fields whose values differ, and of what is
        masked the members too, such as `headers.Authorization`.
    """
    wanted = spec.model_dump(mode="json")
    known = current.spec.model_dump(mode="json") if current else {}
    changed = [name for name, value in wanted.items() if known.get(name) != value] if current else []
    there = dict(secrets_in(known))
    changed += [
        field for field, text in secrets_in(wanted) if current and "." in field and there.get(field, text) != text
    ]
    return {
        "action": "create" if current is None else "update" if changed else "nothing",
        "changed": changed,
        "current": masked(current) if current else None,
        "record": map_secrets(wanted, lambda _: MASK),
    }
