"""One object of each kind of record, as its newest golden file holds it."""

from schemas.attempt import Attempt, AttemptKind, AttemptStatus
from schemas.config import (
    DedupRule,
    EventTypeRule,
    OrderingKeyRule,
    RateLimitSpec,
    SourceSpec,
    Spec,
    SubscriptionSpec,
    TopicSpec,
)
from schemas.delivery import BodyRef, Delivery
from schemas.dispatch import Dispatch, Skip
from schemas.event import Event
from schemas.operation import Operation, OperationKind, SubjectKind
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult
from schemas.rejection import Rejection
from schemas.replay import Cancel, Chunk, Destination, Item, Replay, ReplayRecord, ReplayState
from schemas.retry import RetrySpec
from schemas.source_limits import SourceRateLimitSpec
from schemas.stored import Record
from schemas.tls import TlsSpec
from tests.golden.schema_cases import ORDER_CREATED

EVENT_ID = "01JD8Z6Q3M8T5V7X9Y2A4C6E8G"
RECEIVED_MS = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z

EVENTS = {
    "event": Event(
        event_id=EVENT_ID,
        topic_id="github-push",
        source_id="github",
        event_type="push",
        received_ms=RECEIVED_MS,
        body='{"ref":"refs/heads/main","note":"naïve ☃"}'.encode(),
        content_type="application/json; charset=utf-8",
        source_ip="192.0.2.7",
        dedup_id="72d3162e-cc78-11e3-81ab-4c9367dc0958",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        request_headers=(("X-GitHub-Event", "push"), ("X-Hub-Signature-256", "[redacted]")),
    ),
    "event_of_bytes": Event(
        event_id=EVENT_ID,
        topic_id="t",
        source_id="s",
        event_type="unknown",
        received_ms=0,
        body=bytes(range(256)),
        extra=(("x-team", b"billing"), ("x-raw", b"\xff\xfe"), ("x-team", b"again")),
    ),
}

DELIVERIES = {
    "delivery": Delivery(
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        config_version=42,
        received_ms=RECEIVED_MS,
        body=b'{"id":1}',
        content_type="application/json",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    "delivery_waiting": Delivery(
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        config_version=42,
        received_ms=RECEIVED_MS,
        body=b"",
        target=1,
        attempt=3,
        due_ms=RECEIVED_MS + 5_000,
        replay_id="01JD8Z7A0B1C2D3E4F5G6H7J8K",
        reason="http_500",
    ),
    "delivery_with_headers": Delivery(
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        config_version=42,
        received_ms=RECEIVED_MS,
        body=b'{"id":1}',
        request_headers=(("X-Shop", "naïve ☃"), ("X-Signature", "[redacted]")),
    ),
    "delivery_of_a_large_body": Delivery(
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        config_version=42,
        received_ms=RECEIVED_MS,
        body=b"",
        body_ref=BodyRef(7, 184_467, 1_048_576, "7d1c6f0be35a49d2c1f6a0b3e8d94c57"),
    ),
    "delivery_of_a_replay": Delivery(
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        config_version=42,
        received_ms=RECEIVED_MS,
        body=b"",
        replay_id="01JD8Z7A0B1C2D3E4F5G6H7J8K",
        released_ms=RECEIVED_MS + 86_400_000,
        webhook_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    ),
}

_ATTEMPT = Attempt(
    delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    event_id=EVENT_ID,
    subscription_id="billing",
    topic_id="orders",
    source_id="shop",
    event_type="order.created",
    generation=17,
    attempt=2,
    status=AttemptStatus.RETRYING,
    received_ms=RECEIVED_MS,
    started_ms=RECEIVED_MS + 40,
    duration_ms=23,
    next_attempt_ms=RECEIVED_MS + 5_063,
    response_status_code=500,
    response_body="out of ☕",
    reason="http_500",
    target_url="https://billing.example.com/hooks",
    config_version=42,
)

ATTEMPTS = {
    "attempt": _ATTEMPT,
    "attempt_without_answer": Attempt(
        **{
            **{name: getattr(_ATTEMPT, name) for name in _ATTEMPT.__struct_fields__},
            "status": AttemptStatus.FAILED,
            "next_attempt_ms": 0,
            "response_status_code": 0,
            "response_body": "",
            "error": "connect_timeout",
            "reason": "connect_timeout",
            "replay_id": "01JD8Z7A0B1C2D3E4F5G6H7J8K",
        }
    ),
    "attempt_outcome": Attempt(
        kind=AttemptKind.OUTCOME,
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        attempt=2,
        status=AttemptStatus.CANCELLED,
        received_ms=RECEIVED_MS,
        started_ms=RECEIVED_MS + 40,
        reason="subscription_deleted",
    ),
    "attempt_lease": Attempt(
        kind=AttemptKind.LEASE,
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        event_id=EVENT_ID,
        subscription_id="billing",
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        generation=17,
        attempt=2,
        received_ms=RECEIVED_MS,
        started_ms=RECEIVED_MS + 40,
        until_ms=RECEIVED_MS + 15_040,
    ),
}

DISPATCHES = {
    "dispatch": Dispatch(
        event_id=EVENT_ID,
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        received_ms=RECEIVED_MS,
        dispatched_ms=RECEIVED_MS + 12,
        event_partition=3,
        event_offset=9_007_199_254_740_993,  # beyond what a float keeps
        config_version=42,
        matched=2,
        skipped={"event_type": 1, "subscription_inactive": 1},
        skips=[Skip("audit", "event_type"), Skip("old", "subscription_inactive")],
        dedup_hash="7d1c6f0be35a49d2c1f6a0b3e8d94c57",
        appended_ms=RECEIVED_MS + 3,
    ),
    "dispatch_of_a_failed_filter": Dispatch(
        event_id=EVENT_ID,
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        received_ms=RECEIVED_MS,
        dispatched_ms=RECEIVED_MS + 12,
        event_partition=3,
        event_offset=9,
        config_version=42,
        skipped={"filter": 200, "filter_error": 1},
        skips=[Skip("audit", "filter_error", 'Key not found in map : "total"'), Skip("large", "filter")],
    ),
    "dispatch_of_a_duplicate": Dispatch(
        event_id=EVENT_ID,
        topic_id="orders",
        source_id="shop",
        event_type="order.created",
        received_ms=RECEIVED_MS,
        dispatched_ms=RECEIVED_MS + 12,
        event_partition=3,
        event_offset=8,
        config_version=42,
        duplicate=True,
        duplicate_of="3/7",
        dedup_hash="7d1c6f0be35a49d2c1f6a0b3e8d94c57",
        appended_ms=RECEIVED_MS + 3,
    ),
}

REJECTIONS = {
    "rejection": Rejection(
        rejection_id="01JD8Z7A0B1C2D3E4F5G6H7J8K",
        topic_id="github-push",
        source_id="github",
        status=403,
        code="signature_mismatch",
        reason="no secret of the source makes this signature",
        received_ms=RECEIVED_MS,
        source_ip="192.0.2.7",
        content_type="application/json",
        headers=[("X-GitHub-Event", "push"), ("X-Hub-Signature-256", "[redacted]")],
        body='{"a":"☃"}',
        body_bytes=9,
        unrecorded=3,
    ),
}

OUTCOMES = {
    "outcome_applied": Outcome(
        kind="subscriptions",
        id="billing",
        intake_offset=42,
        at_ms=RECEIVED_MS,
        result=OutcomeResult.APPLIED,
        action=OutcomeAction.CREATED,
        version=42,
        generation=42,
        record={"id": "billing", "topic_id": "orders", "secret": "********"},
        actor="admin",
    ),
    "outcome_refused": Outcome(
        kind="sources",
        id="github",
        intake_offset=43,
        at_ms=RECEIVED_MS,
        result=OutcomeResult.REFUSED,
        version=17,
        generation=3,
        code="invalid",
        field="auth_type",
        reason="must be one of github, hmac, none",
    ),
}

_REPLAY_ID = "01JD8Z7A0B1C2D3E4F5G6H7J8K"

REPLAYS: dict[str, ReplayRecord] = {
    "replay_chunk": Chunk(
        replay_id=_REPLAY_ID,
        destinations=[Destination("billing", 17), Destination("search")],
        items=[Item(3, 9_007_199_254_740_993, EVENT_ID, 0), Item(3, 9_007_199_254_740_993, EVENT_ID, 1)],
    ),
    "replay": Replay(
        replay_id=_REPLAY_ID,
        asked={"mode": "failed", "subscription_id": "billing", "since": "2026-01-01T00:00:00.000Z"},
        requested_by="admin",
        rate_per_s=50,
        new_id=True,
        total=5,
        items=4,
        state=ReplayState.RUNNING,
        position=3,
        sent=2,
        skipped={"event_unknown": 1, "event_expired": 1},
        updated_ms=RECEIVED_MS,
    ),
    "replay_cancel": Cancel(replay_id=_REPLAY_ID, requested_by="admin", at_ms=RECEIVED_MS),
}

OPERATIONS = {
    "operation": Operation(
        operation_id="01KDY8H4DEJ4FB4Y0JS1GFYBX8",
        kind=OperationKind.DEAD_LETTER,
        at_ms=RECEIVED_MS,
        subject_kind=SubjectKind.SUBSCRIPTION,
        subject_id="billing",
        topic_id="orders",
        subscription_id="billing",
        event_id=EVENT_ID,
        delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        message="a delivery for billing was given up after 10 attempts: http_500",
        detail={"reason": "http_500", "attempts": 10, "share": 0.5},
    ),
    "operation_of_a_stream": Operation(
        operation_id="01KDY8H4DEJ4FB4Y0JS1GFYBX9",
        kind=OperationKind.RECORD_UNREADABLE,
        at_ms=RECEIVED_MS,
        subject_kind=SubjectKind.STREAM,
        subject_id="events",
    ),
}


def _record(spec: Spec) -> Record[Spec]:
    return Record(
        spec=spec,
        version=42,
        generation=17,
        created_at="2026-01-02T03:04:05.678Z",
        updated_at="2026-01-03T03:04:05.678Z",
    )


RECORDS = {
    "table_source": _record(
        SourceSpec(
            id="github",
            name="GitHub, all repositories",
            auth_type="hmac",
            auth_config={"header": "X-Signature", "encoding": "hex"},
            secret="hush",
            secrets=["older"],
            max_body_bytes=65_536,
            rate_limit=SourceRateLimitSpec(per_second=2.5, burst=10),
            allowed_ips=["192.0.2.0/24", "2001:db8::17"],
        )
    ),
    "table_topic": _record(
        TopicSpec(
            id="orders",
            source_id="shop",
            name="Orders",
            description="Everything the shop sells",
            event_type=EventTypeRule(pointer="/kind"),
            dedup_id=DedupRule(header="X-Request-Id"),
            ordering_key=OrderingKeyRule(pointer="/order/id"),
            event_types={"order.created": ORDER_CREATED},
            on_unknown_type="refuse",
        )
    ),
    "table_subscription": _record(
        SubscriptionSpec(
            id="billing",
            topic_id="orders",
            subscriber_name="Billing",
            target_url="https://billing.example.com/hooks?a=1",
            event_types=["order.*", "refund.created"],
            headers={"Authorization": "Bearer of-billing"},
            tls=TlsSpec(
                ca_pem="an authority",
                client_cert_pem="a certificate",
                client_key_pem="a key",
                server_name="hooks.internal",
            ),
            secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            retry=RetrySpec(delays_s=[1, 2.5, 60]),
            timeout_s=20,
            max_in_flight=5,
            filter="branch == 'main'",
            transform="{'text': event.message}",
            format="cloudevents",
            rate_limit=RateLimitSpec(per_second=2.5, burst=10),
            circuit_breaker=False,
            disable_after_days=2,
        )
    ),
}
