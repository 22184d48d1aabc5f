"""What happened can be read: one event's whole story, and SQL over all of them."""

import json
from typing import Any

import pytest

from schemas.attempt import AttemptKind, AttemptStatus
from schemas.dispatch import Dispatch, Skip
from schemas.event import Event
from schemas.headers import rfc3339
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from schemas.rejection import Rejection, encode_rejection
from schemas.streams import OUTCOMES, REJECTIONS
from tests.projections_fixture import (
    Projections,
    Stages,
    make_attempt,
    make_delivery,
    make_event,
    projections,
    until,
)

__all__ = ["projections"]

pytestmark = pytest.mark.stack


def dispatch_of(event: Event) -> Dispatch:
    return Dispatch(
        event_id=event.event_id,
        topic_id=event.topic_id,
        source_id=event.source_id,
        event_type=event.event_type,
        received_ms=event.received_ms,
        dispatched_ms=event.received_ms + 3,
        event_partition=0,
        event_offset=0,
        config_version=11,
        matched=1,
        skipped={"event_type": 2},
        skips=[Skip("audit", "filter_error", "no such key"), Skip("search", "event_type")],
    )


async def test_a_timeline_tells_everything_from_the_request_to_the_last_attempt(projections: Projections) -> None:
    event = make_event(body=b'{"n": 1}\n')
    delivery = make_delivery(event)
    due_ms = event.received_ms + 2_000
    async with Stages(projections.settings) as stages:
        await stages.event(event)
        await stages.dispatch(dispatch_of(event))
        await stages.delivery(delivery)
        failed = make_attempt(
            delivery,
            1,
            AttemptStatus.RETRYING,
            response_status_code=500,
            response_body="oops",
            reason="http_500",
            next_attempt_ms=due_ms,
        )
        lease = make_attempt(delivery, 2, AttemptStatus.RETRYING, kind=AttemptKind.LEASE, until_ms=due_ms)
        await stages.attempts([failed, lease])
        path = f"/api/v1/logs/events/{event.event_id}"
        waiting = until(lambda: deliveries_in(projections, path, "RETRYING"), "a retry")
        await stages.attempts([make_attempt(delivery, 2, AttemptStatus.SUCCESS, response_status_code=204)])
        ended = until(lambda: deliveries_in(projections, path, "SUCCESS"), "a success")
    assert waiting["timeline"][-1] | {"subscription_id": "", "delivery_id": ""} == {
        "at": rfc3339(due_ms),
        "what": "next_attempt",
        "subscription_id": "",
        "delivery_id": "",
    }
    assert ended["event"]["payload"] == '{"n": 1}\n'
    assert ended["event"]["headers"] == {"x-shop": "a, b"}
    assert ended["event"]["status"] == "QUEUED"
    assert ended["dispatch"]["skips"] == [
        {"subscription_id": "audit", "reason": "filter_error", "detail": "no such key"},
        {"subscription_id": "search", "reason": "event_type", "detail": ""},
    ]
    assert [step["what"] for step in ended["timeline"]] == ["received", "dispatched", "attempt", "attempt", "completed"]
    story = ended["deliveries"][0]
    assert (story["attempts_made"], story["last_status_code"], story["next_attempt_at"]) == (2, 204, None)
    assert [(item["attempt"], item["status"], item["response_body"]) for item in story["attempts"]] == [
        (1, "RETRYING", "oops"),
        (2, "SUCCESS", ""),
    ]


def deliveries_in(projections: Projections, path: str, status: str) -> dict[str, Any] | None:
    code, body = projections.get(path)
    document = json.loads(body) if code == 200 else {}
    return document if [item["status"] for item in document.get("deliveries", [])] == [status] else None


def in_the_log(projections: Projections, *ids: str) -> dict[str, tuple[str, str]] | None:
    rows = projections.sql("SELECT event_id, status, event_type FROM event_log")
    found = {row["event_id"]: (row["status"], row["event_type"]) for row in rows if row["event_id"] in ids}
    return found if len(found) == len(ids) else None


async def test_refusals_config_changes_and_bytes_that_are_no_text_are_kept(projections: Projections) -> None:
    event = make_event(body=b"\xff\x00\x01\xfe", event_type="binary")
    rejection = Rejection(
        rejection_id=make_event().event_id,
        topic_id="orders",
        source_id="shop",
        status=403,
        code="signature_mismatch",
        reason="the signature is wrong",
        received_ms=event.received_ms,
        headers=[("X-Sig", "***")],
        body="forged",
        body_bytes=6,
    )
    refusal = Outcome(
        kind="subscriptions",
        id="billing",
        intake_offset=4,
        at_ms=event.received_ms,
        result=OutcomeResult.REFUSED,
        action=OutcomeAction.NOTHING,
        code="invalid",
        field="target_url",
        reason="must be an http or https URL with a host",
    )
    async with Stages(projections.settings) as stages:
        await stages.event(event)
        await stages.raw(REJECTIONS, encode_rejection(rejection))
        await stages.raw(OUTCOMES, encode_outcome(refusal))
    projections.until_count("config_changes", 1)
    rows = until(lambda: in_the_log(projections, event.event_id, rejection.rejection_id), "both")
    assert rows == {event.event_id: ("RECEIVED", "binary"), rejection.rejection_id: ("FAILED_VALIDATION", "")}
    document = json.loads(projections.get(f"/api/v1/logs/events/{event.event_id}")[1])
    assert (document["event"]["payload"], document["event"]["payload_encoding"]) == ("/wAB/g==", "base64")
    refused = json.loads(projections.get(f"/api/v1/logs/events/{rejection.rejection_id}")[1])
    assert refused["timeline"][0]["code"] == "signature_mismatch"
    assert projections.sql("SELECT field, version FROM config_changes") == [{"field": "target_url", "version": -1}]


def test_nothing_but_health_answers_without_the_admin_key(projections: Projections) -> None:
    projections.until_ready()
    assert projections.get("/health", key="")[0] == 200
    assert projections.get("/api/v1/logs/events/x", key="wrong")[0] == 401
    assert projections.get("/api/v1/sql", {"query": "SELECT 1"}, key="wrong")[0] == 401
    assert projections.get("/api/v1/logs/events/x")[0] == 404
    assert b"hooklog_projections_lag_records" in projections.get("/metrics", key="")[1]
