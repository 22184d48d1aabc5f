"""JSON Merge Patch (RFC 7396): what a partial document changes in a whole one."""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """The target with the patch applied, as section 2 of the RFC has it; neither of the two is changed.

    Objects merge member by member, `null` removes a member, everything else, lists included, replaces what is there.

    Args:
        target: any JSON value.
        patch: any JSON value, nested less deeply than Python's recursion goes.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
