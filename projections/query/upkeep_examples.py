"""Answers about the tables themselves, as the document shows them."""

from typing import Any

from projections.query.examples import AT, EVENT_ID

REBUILD = {
    "rebuild_id": "01J9ZC3W6V0000000000000000",
    "state": "RUNNING",
    "requested_by": "admin",
    "began_at": AT,
    "records": 120_000,
    "records_total": 1_204_331,
    "carried": 0,
    "reason": "",
    "updated_at": AT,
}

AUDIT: dict[str, Any] = {
    "ok": False,
    "since": AT,
    "until": "2026-01-03T03:04:05.678Z",
    "cut_at": "2026-01-03T03:04:05.678Z",
    "accepted": 120_000,
    "dispatched": 120_000,
    "unreadable": 0,
    "duplicates": 17,
    "matched": 240_210,
    "replayed": 40,
    "success": 240_180,
    "failed": 60,
    "cancelled": 0,
    "pending": 9,
    "attempts": 252_317,
    "told": {"rejected": 12, "repeated_attempts": 2},
    "streams": {"events": {"records": 120_000, "rows": 120_000}},
    "offenders_total": 1,
    "offenders_by_kind": {"delivery_missing": 1},
    "offenders": [
        {
            "kind": "delivery_missing",
            "id": EVENT_ID,
            "what": "the event matched more subscriptions than there are deliveries of it (matched 2, deliveries 1)",
            "do": f"hooklog events {EVENT_ID}",
        }
    ],
}
