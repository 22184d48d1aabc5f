"""The life of an event reads as a story: received, dispatched, each delivery, each attempt."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli.traffic.life import MAX_NAMED_SKIPS, has_ended, tree_of

Story = dict[str, Any]


def attempt(number: int, status: str, at: str, **facts: Any) -> Story:
    made = {"kind": "attempt", "attempt": number, "status": status, "started_at": at, "duration_ms": 9}
    nothing = {"response_status_code": None, "error": "", "reason": "", "response_body": "", "next_attempt_at": None}
    return nothing | made | facts


def delivery(status: str, attempts: list[Story], **facts: Any) -> Story:
    ids = {"delivery_id": "d1", "subscription_id": "billing", "target_url": "http://127.0.0.1:9000/", "reason": ""}
    return ids | {"status": status, "attempts": attempts, "attempts_made": len(attempts)} | facts


def story(deliveries: list[Story], **dispatch: Any) -> Story:
    event = {
        "event_id": "E1",
        "event_type": "push",
        "topic_id": "pushes",
        "source_id": "github",
        "payload_bytes": 25,
        "received_at": "2026-11-22T04:17:57.500Z",
        "status": "QUEUED",
    }
    told = {"dispatched_at": "2026-11-22T04:17:57.504Z", "matched": 1, "skipped": {}, "skips": [], "duplicate": False}
    return {"event": event, "dispatch": told | dispatch, "deliveries": deliveries, "timeline": []}


def shown(told: Story) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(tree_of(told))
    return out.getvalue()


RETRIED = [
    attempt(1, "RETRYING", "2026-11-22T04:17:57.525Z", error="connect", next_attempt_at="2026-11-22T04:18:03.500Z"),
    attempt(2, "SUCCESS", "2026-11-22T04:18:03.512Z", response_status_code=200),
]


def test_a_retried_delivery_is_told_in_order_with_times_after_the_event() -> None:
    text = shown(story([delivery("SUCCESS", RETRIED)]))
    parts = [
        *("push", "E1", "topic pushes", "source github", "25 bytes"),
        *("+0.004s", "dispatched to 1 subscription\n"),
        *("SUCCESS", "billing", "after 2 attempts", "http://127.0.0.1:9000/"),
        *("+0.025s", "attempt 1", "connect", "9 ms", "next +6.000s"),
        *("+6.012s", "attempt 2", "200"),
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_skips_are_named_up_to_a_number_and_then_counted_by_reason() -> None:
    skips = [{"subscription_id": f"s{number}", "reason": "event_type"} for number in range(100)]
    text = shown(story([], matched=2, skipped={"event_type": 150, "subscription_inactive": 3}, skips=skips))
    assert "dispatched to 2 of 155 subscriptions (0 seen so far)" in text
    assert text.count("skipped s") == MAX_NAMED_SKIPS
    assert f"skipped {150 - MAX_NAMED_SKIPS} more: event_type" in text
    assert "skipped 3 more: subscription_inactive" in text


def test_an_end_without_a_request_says_why() -> None:
    ended = attempt(2, "CANCELLED", "2026-11-22T04:18:03.512Z", kind="outcome", reason="subscription_deleted")
    text = shown(story([delivery("CANCELLED", [RETRIED[0], ended], reason="subscription_deleted")]))
    assert "cancelled without a request: subscription_deleted" in text


def test_a_wait_without_an_attempt_says_why_and_until_when() -> None:
    aside = attempt(1, "PENDING", "2026-11-22T04:17:57.525Z", kind="parked", reason="breaker_open")
    text = shown(story([delivery("PENDING", [aside | {"next_attempt_at": "2026-11-22T04:18:07.512Z"}])]))
    assert "set aside: breaker_open, until" in text


def test_an_endpoints_own_words_are_shown_and_never_read_as_markup() -> None:
    failed = attempt(1, "FAILED", "2026-11-22T04:17:57.525Z", response_status_code=500, response_body="[red]no\n[/red]")
    text = shown(story([delivery("FAILED", [failed])]))
    assert r"[red]no\n[/red]" in text


def test_a_refused_request_and_a_duplicate_are_told_as_such() -> None:
    refused = story([])
    refused["event"] |= {"status": "FAILED_VALIDATION", "response_status_code": 403, "event_type": ""}
    refused["event"] |= {"code": "signature_mismatch", "reason": "it does not match"}
    assert "refused with 403 signature_mismatch: it does not match" in shown(refused | {"dispatch": None})
    assert "had been sent before (of 3/17)" in shown(story([], matched=0, duplicate=True, duplicate_of="3/17"))


@pytest.mark.parametrize(
    ("told", "ended"),
    [
        (story([]) | {"dispatch": None}, False),
        (story([], matched=0), True),
        (story([], matched=1), False),
        (story([delivery("RETRYING", RETRIED[:1])]), False),
        (story([delivery("SUCCESS", RETRIED)], matched=2), False),
        (story([delivery("SUCCESS", RETRIED), delivery("PENDING", [])], matched=2), False),
        (story([delivery("SUCCESS", RETRIED), delivery("CANCELLED", [])], matched=2), True),
    ],
)
def test_an_event_has_ended_when_every_delivery_that_was_made_has(told: Story, ended: bool) -> None:
    assert has_ended(told) is ended
    shown(told)
