"""The history of the configuration, as the query API answers it, for its OpenAPI document."""

from typing import Any

_AT = "2026-01-02T03:04:05.678Z"
_BY = "key:7WJ2QX4M9T Grace"
_RECORD = {"id": "deploy", "topic_id": "pushes", "target_url": "https://example.com/hook", "is_active": True}

CONFIG_RECORD: dict[str, Any] = {
    "kind": "subscriptions",
    "id": "deploy",
    "action": "updated",
    "version": 17,
    "generation": 12,
    "updated_at": _AT,
    "updated_by": _BY,
    "record": _RECORD,
}

_CHANGES = [{"pointer": "/target_url", "before": "https://old.example.com/hook", "after": "https://example.com/hook"}]

CONFIG_DIFF: dict[str, Any] = {
    "kind": "subscriptions",
    "id": "deploy",
    "action": "updated",
    "times": 1,
    "before": {"version": 12, "generation": 12, "updated_at": "2026-01-01T09:00:00.000Z", "updated_by": "admin"},
    "after": {"version": 17, "generation": 12, "updated_at": _AT, "updated_by": _BY},
    "updated_at": _AT,
    "updated_by": _BY,
    "changes": _CHANGES,
}

CHANGE: dict[str, Any] = {
    "kind": "subscriptions",
    "id": "deploy",
    "at": _AT,
    "result": "applied",
    "action": "updated",
    "version": 17,
    "generation": 12,
    "code": "",
    "field": "",
    "reason": "",
    "record": _RECORD,
    "intake_offset": 17,
    "updated_by": _BY,
    "changes": _CHANGES,
}
