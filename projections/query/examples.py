"""Documents as the query API answers them, for its OpenAPI document."""

from typing import Any

AT = "2026-01-02T03:04:05.678Z"
EVENT_ID = "01KE0Q6ZGEQ9PR3R6V8QXH3B7N"
_DELIVERY_ID = "6f1d0c9be2a84d7c9c53a1f0d3b7e842"
_REPLAY_ID = "01KE0R7V0C7W6F9E2M4S8T1A5D"

_WHAT = {"topic_id": "pushes", "source_id": "github", "event_type": "push"}

EVENT: dict[str, Any] = {
    "event_id": EVENT_ID,
    **_WHAT,
    "received_at": AT,
    "source_ip": "192.0.2.7",
    "content_type": "application/json",
    "dedup_id": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "schema_fault": "",
    "traceparent": "",
    "headers": {"x-github-event": "push"},
    "extra_headers": {},
    "payload_bytes": 25,
    "status": "QUEUED",
    "matched": 1,
    "duplicate": False,
}

_MADE = {"generation": 12, "config_version": 13, "replay_id": ""}

DELIVERY: dict[str, Any] = {
    "delivery_id": _DELIVERY_ID,
    "event_id": EVENT_ID,
    "subscription_id": "deploy",
    **_WHAT,
    "status": "SUCCESS",
    "attempts": 1,
    "last_status_code": 204,
    "error": "",
    "reason": "",
    "target_url": "https://example.com/hook",
    "created_at": AT,
    "last_attempt_at": "2026-01-02T03:04:05.701Z",
    "next_attempt_at": None,
    "completed_at": "2026-01-02T03:04:05.732Z",
    **_MADE,
}

ATTEMPT: dict[str, Any] = {
    "delivery_id": _DELIVERY_ID,
    "event_id": EVENT_ID,
    "subscription_id": "deploy",
    **_WHAT,
    "kind": "attempt",
    "attempt": 1,
    "status": "SUCCESS",
    "response_status_code": 204,
    "response_body": "",
    "error": "",
    "reason": "",
    "target_url": "https://example.com/hook",
    "received_at": AT,
    "started_at": "2026-01-02T03:04:05.701Z",
    "duration_ms": 31,
    "next_attempt_at": None,
    **_MADE,
}

REJECTION: dict[str, Any] = {
    "rejection_id": EVENT_ID,
    "topic_id": "pushes",
    "source_id": "github",
    "received_at": AT,
    "response_status_code": 403,
    "code": "signature_mismatch",
    "reason": "the signature is wrong",
    "source_ip": "192.0.2.7",
    "content_type": "application/json",
    "headers": {"x-hub-signature-256": "***"},
    "payload_bytes": 25,
    "unrecorded": 0,
}

OPERATION: dict[str, Any] = {
    "operation_id": "01KE0Q6ZGE6BTMJ1ZYM1Q4N0XW",
    "kind": "dead_letter",
    "at": "2026-01-05T17:09:12.345Z",
    "subject_kind": "subscription",
    "subject_id": "deploy",
    "topic_id": "pushes",
    "subscription_id": "deploy",
    "event_id": EVENT_ID,
    "delivery_id": _DELIVERY_ID,
    "message": "a delivery to deploy was given up after 10 attempts: http_500",
    "detail": {
        "reason": "http_500",
        "attempts": 10,
        "last_status_code": 500,
        "error": "",
        "event_type": "push",
        "source_id": "github",
        "replay_id": "",
    },
}

_IN_FORCE = [
    {
        "kind": "subscriptions",
        "id": "deploy",
        "version": 12,
        "updated_at": "2026-01-01T09:00:00.000Z",
        "updated_by": "admin",
    }
]

TIMELINE: dict[str, Any] = {
    "event": {name: value for name, value in EVENT.items() if name not in {"matched", "duplicate"}}
    | {"payload": "{}", "payload_encoding": "text"},
    "dispatch": {"event_id": EVENT_ID, "matched": 1, "skipped": {"event_type": 2}, "duplicate": False},
    "deliveries": [DELIVERY | {"attempts_made": 1, "attempts": [ATTEMPT]}],
    "config": _IN_FORCE,
    "timeline": [{"at": AT, "what": "received", "topic_id": "pushes"}],
}

DELIVERY_STORY: dict[str, Any] = DELIVERY | {
    "attempts_made": 1,
    "attempts": [ATTEMPT],
    "config": _IN_FORCE,
    "timeline": [
        {
            "at": "2026-01-02T03:04:05.732Z",
            "what": "completed",
            "subscription_id": "deploy",
            "delivery_id": _DELIVERY_ID,
            "status": "SUCCESS",
            "reason": "",
        }
    ],
}

EXPLANATION: dict[str, Any] = {
    "event_id": EVENT_ID,
    "subscription_id": "deploy",
    "version": 12,
    "matched": False,
    "reason": "filter_error",
    "detail": 'Key not found in map : "deleted"',
    "event_types": ["push"],
    "filter": "branch == 'main' && !event.deleted",
    "saw": {
        "event_type": "push",
        "source": "github",
        "topic": "pushes",
        "headers": {"x-github-event": "push"},
        "branch": "main",
        "commit": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "repository": "octo-org/octo-repo",
        "action": "",
        "is_json": True,
        "event": {"ref": "refs/heads/main"},
    },
    "dispatch": {"config_version": 13, "matched": 1, "duplicate": False, "appended_at": AT},
}

ATTEMPTS: dict[str, Any] = {
    "attempts": 40,
    "successes": 38,
    "failures": 2,
    "retries": 2,
    "success_rate": 0.95,
    "p50_ms": 31,
    "p95_ms": 120,
    "p99_ms": 480,
}

FIGURES: dict[str, Any] = {
    "at": "2026-01-02T03:00:00.000Z",
    **ATTEMPTS,
    "deliveries": {"SUCCESS": 38, "FAILED": 0, "CANCELLED": 0},
}

OVERVIEW: dict[str, Any] = {
    "since": "2026-01-01T03:04:05.678Z",
    "until": None,
    "accepted": 38,
    "rejected": 1,
    "dispatched": 38,
    "duplicates": 0,
    "matched": 38,
    "replayed": 0,
    "deliveries": {"PENDING": 0, "RETRYING": 0, "SUCCESS": 38, "FAILED": 0, "CANCELLED": 0},
    **ATTEMPTS,
}

TASK: dict[str, Any] = {
    "task_id": EVENT_ID,
    "status": "SUCCESS",
    "started_at": AT,
    "ended_at": "2026-01-02T03:04:05.732Z",
    "deliveries": {"SUCCESS": 1},
    "result": {**_WHAT, "matched": 1, "duplicate": False, "deliveries": []},
}

RESENT: dict[str, Any] = {
    "delivery_id": "0c4d95e2b18f4f0cb4b9d1a7c6e3f275",
    "replay_id": _REPLAY_ID,
    "retried": _DELIVERY_ID,
    "event_id": EVENT_ID,
    "subscription_id": "deploy",
    "status": "PENDING",
}

REPLAY: dict[str, Any] = {
    "replay_id": _REPLAY_ID,
    "created_at": AT,
    "updated_at": "2026-01-02T03:04:35.690Z",
    "state": "RUNNING",
    "asked": {"mode": "failed", "subscription_id": "deploy", "since": "-1d"},
    "requested_by": "admin",
    "rate_per_s": 50,
    "new_id": False,
    "total": 2_000,
    "sent": 1_498,
    "skipped": {"event_expired": 2},
    "progress": 0.75,
}

REPLAY_COUNT: dict[str, Any] = {
    "mode": "failed",
    "total": 2_000,
    "events": 2_000,
    "subscriptions": {"deploy": 2_000},
    "first": AT,
    "last": "2026-01-03T02:58:40.112Z",
    "from_tables": 12,
    "unavailable": {"event_unknown": 1},
    "unavailable_events": ["01KDZZZZZZZZZZZZZZZZZZZZZZ"],
    "where": {"looked_at": 9_000, "held": 2_000, "failed": 0, "failed_example": None},
}

DRIFT: dict[str, Any] = {
    "topic_id": "orders",
    "version": 17,
    "since": AT,
    "until": None,
    "refused": 0,
    "types": [
        {
            "event_type": "order.created",
            "events": 1_204,
            "invalid": 3,
            "too_large": 0,
            "declared": True,
            "looked_at": 200,
            "not_json": 0,
            "left_out": False,
            "fields": [
                {
                    "pointer": "/order/coupon",
                    "types": {"string": 31},
                    "events": 31,
                    "share": 0.155,
                    "first_seen_at": AT,
                    "last_seen_at": AT,
                    "in_schema": False,
                    "unexpected_types": [],
                }
            ],
            "missing": [{"pointer": "/order/items/*/sku", "objects": 640, "lacking": 2}],
        }
    ],
    "more_types": False,
}
