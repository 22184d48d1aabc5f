"""An example of what a tried subscription comes to."""

from typing import Any

TRIED: dict[str, Any] = {
    "subscription_id": "deploy",
    "today_version": 17,
    "since": "2026-01-02T03:04:05.678Z",
    "until": None,
    "events": 1_204,
    "one_in": 1,
    "looked_at": 1_204,
    "payload_expired": 0,
    "delivered": 40,
    "skipped": {"filter": 1_160, "filter_error": 4},
    "dead": {},
    "today": {"delivered": 41, "skipped": {"filter": 1_163}, "dead": {}},
    "changes": {"newly_delivered": 1, "no_longer_delivered": 2, "changed": 39, "unchanged": 0},
    "examples": {
        "no_longer_delivered": [
            {
                "event_id": "01KE0R7T6BC1D8K3M5N7P9QRST",
                "topic_id": "pushes",
                "event_type": "push",
                "received_at": "2026-01-02T03:04:05.678Z",
                "reason": "filter_error",
                "detail": 'Key not found in map : "total"',
            }
        ]
    },
    "headers": {"added": ["X-Team"], "removed": [], "given_again": []},
}
