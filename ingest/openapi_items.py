"""What the OpenAPI document says of the items of a batch, wherever one is answered."""

from typing import Any

Json = dict[str, Any]

_ITEM: Json = {
    "type": "object",
    "required": ["index", "event_id", "status", "code"],
    "properties": {
        "index": {"type": "integer"},
        "event_id": {"type": ["string", "null"], "description": "Of an item that is stored."},
        "status": {
            "enum": ["QUEUED", "REFUSED", "NOT_STORED"],
            "description": "Stored; refused, and always will be; not known to be stored: send it again.",
        },
        "code": {"type": ["string", "null"], "description": "Why it is not stored: stable, for programs."},
        "detail": {"type": "string", "description": "For people; may change."},
        "duplicate": {"const": True, "description": "As of a single event."},
    },
}
ACCEPTED_BATCH: Json = {
    "items": [
        {"index": 0, "event_id": "01JGKC6Y3XSPA7QZ0N8M4T5R2V", "status": "QUEUED", "code": None},
        {"index": 1, "event_id": "01JGKC6Y3XSPA7QZ0N8M4T5R2W", "status": "QUEUED", "code": None, "duplicate": True},
    ]
}
BATCH_SCHEMA: Json = {
    "type": "object",
    "required": ["items"],
    "properties": {"items": {"type": "array", "items": _ITEM}},
}
BATCH_PROBLEMS = ("no_batch", "items_invalid", "too_many_items", "items_too_large", "items_not_stored")
