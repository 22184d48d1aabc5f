"""What came of events, as the query API answers it, for its OpenAPI document."""

from typing import Any

_AT = "2026-01-02T03:04:05.678Z"

ERRORS: dict[str, Any] = {
    "data": [
        {
            "reason": "http_500",
            "response_status_code": 500,
            "error": "",
            "kind": "attempt",
            "count": 312,
            "deliveries": 41,
            "first_at": _AT,
            "last_at": "2026-01-02T09:12:40.021Z",
            "example": {
                "event_id": "01KE0Q6ZGEQ9PR3R6V8QXH3B7N",
                "delivery_id": "6f1d0c9be2a84d7c9c53a1f0d3b7e842",
                "target_url": "https://example.com/hook",
                "response_body": "database is locked",
            },
        }
    ],
    "more": False,
}

FUNNEL: dict[str, Any] = {
    "since": _AT,
    "until": None,
    "refused": {"total": 3, "codes": {"signature_mismatch": 3}, "unrecorded": 0},
    "accepted": 40,
    "waiting": 0,
    "dispatched": 40,
    "duplicates": 1,
    "unmatched": 2,
    "skipped": {"event_type": 31, "filter": 4},
    "matched": 52,
    "replayed": 1,
    "delivered": {"total": 49, "first_try": 44, "after_retries": {"1": 4, "3": 1}},
    "failed": {"total": 1, "reasons": {"http_500": 1}},
    "cancelled": {"total": 1, "reasons": {"subscription_deleted": 1}},
    "pending": {"total": 2, "not_tried": 0, "retrying": 2},
}
