"""The oracle notices what it is there to notice: every loss and every wrong count, planted one by one."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from tests.oracle.kafka_reader import Rec
from tests.oracle.sender import Sent
from tests.oracle.sink import Entry
from tests.oracle.verdict import Books, Streams, Wanted, judge

BODY = b"{}"
HASH = sha256(BODY).hexdigest()
GOOD, DEAD = Wanted("good", "/ok/a"), Wanted("dead", "/dead/a", patterns=["order.*"], attempts=2)


def record(value: dict[str, Any] | bytes, **headers: str) -> Rec:
    """A record with these headers; `_` stands for `-`, but not in CloudEvents names."""
    names = {name if name.startswith("ce_") else name.replace("_", "-"): text for name, text in headers.items()}
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Rec(0, 0, 0, None, tuple((name, text.encode()) for name, text in names.items()), raw)


def request(path: str, event_id: str = "e1", answered: int = 200) -> Entry:
    """A request that came."""
    return Entry(path, [("webhook-id", event_id)], 0.0, HASH, len(BODY), answered)


def attempt(subscription: str, number: int, status: str) -> Rec:
    """An attempt record."""
    fields = {"kind": "attempt", "event_id": "e1", "attempt": number}
    return record(fields | {"subscription_id": subscription, "status": status})


def delivery(subscription: str, delivery_id: str = "") -> Rec:
    """A delivery record of the event."""
    return record(BODY, ce_id="e1", hl_subscription=subscription, hl_delivery_id=delivery_id or subscription)


def told(subscription: str, operation_id: str = "o1") -> Rec:
    """An operation that tells of a dead letter of the event."""
    fields = {"kind": "dead_letter", "event_id": "e1", "operation_id": operation_id}
    return record(fields | {"subscription_id": subscription})


def dispatch(event_id: str, matched: int, duplicate_of: str = "") -> Rec:
    """A dispatch record."""
    told = {"event_id": event_id, "matched": matched, "duplicate": bool(duplicate_of), "duplicate_of": duplicate_of}
    return record(told)


def event(event_id: str, sender_id: str, offset: int) -> Rec:
    """An event that its sender gave an id."""
    made = record(BODY, ce_id=event_id, ce_type="order.created", hl_topic="t", hl_dedup_id=sender_id)
    return replace(made, offset=offset)


def repeated(sender_id: str, told: Rec) -> Callable[[Books], Books]:
    """The books with a second event, of that sender's id, and what its dispatch record tells."""
    events = [event("e1", "d1", 0), event("e2", sender_id, 1)]
    return lambda books: streams(
        replace(books, sent=[*books.sent, Sent(1, "t", "order.created", HASH, event_id="e2")]),
        events=events,
        dispatches=[*books.streams.dispatches, told],
    )


def perfect() -> Books:
    """One event for two subscriptions, of which one is dead, with nothing wrong."""
    return Books(
        sent=[Sent(0, "t", "order.created", HASH, event_id="e1")],
        arrived=[request("/ok/a"), request("/dead/a", answered=500), request("/dead/a", answered=500)],
        wanted=[GOOD, DEAD],
        streams=Streams(
            events=[record(BODY, ce_id="e1", ce_type="order.created")],
            dispatches=[dispatch("e1", 2)],
            deliveries=[delivery("good"), delivery("dead")],
            attempts=[
                attempt("good", 1, "SUCCESS"),
                attempt("dead", 1, "RETRYING"),
                attempt("dead", 2, "FAILED"),
                record({"kind": "lease"}),
            ],
            dead=[delivery("dead")],
            operations=[told("dead"), told("dead"), record({"kind": "breaker.opened"})],
        ),
    )


def streams(books: Books, **changes: Any) -> Books:
    """The books with other streams."""
    return replace(books, streams=replace(books.streams, **changes))


PLANTED: dict[str, tuple[Callable[[Books], Books], str]] = {
    "an event nobody took": (lambda b: replace(b, sent=[*b.sent, Sent(1, "t", "x", HASH)]), "never accepted"),
    "a lost event": (lambda b: streams(b, events=[]), "accepted events missing"),
    "an invented event": (
        lambda b: streams(b, events=[*b.streams.events, record(BODY, ce_id="e2", ce_type="x")]),
        "events that nobody sent",
    ),
    "a lost delivery": (lambda b: replace(b, arrived=b.arrived[1:]), "missing deliveries"),
    "a success that was never answered": (
        lambda b: replace(b, arrived=[request("/ok/a", answered=0), *b.arrived[1:]]),
        "missing deliveries",
    ),
    "a delivery to nobody": (lambda b: replace(b, arrived=[*b.arrived, request("/ok/b")]), "unexpected deliveries"),
    "a changed body": (
        lambda b: replace(b, arrived=[replace(b.arrived[0], sha256="0"), *b.arrived[1:]]),
        "changed bodies",
    ),
    "an event without a dispatch": (lambda b: streams(b, dispatches=[]), "never dispatched"),
    "a wrong count": (
        lambda b: streams(b, dispatches=[dispatch("e1", 1)]),
        "dispatches with a wrong count",
    ),
    "a repetition that was delivered": (repeated("d1", dispatch("e2", 2)), "wrong count"),
    "a repetition that nobody noticed": (repeated("d1", dispatch("e2", 0)), "wrong first one"),
    "a repetition of another event": (repeated("d1", dispatch("e2", 0, "0/7")), "wrong first one"),
    "a new event taken for a repetition": (repeated("d2", dispatch("e2", 0, "0/0")), "missing deliveries"),
    "a delivery never made": (lambda b: streams(b, deliveries=[delivery("good")]), "deliveries never made"),
    "a delivery with two ids": (
        lambda b: streams(b, deliveries=[*b.streams.deliveries, delivery("good", "other")]),
        "several ids",
    ),
    "an unrecorded attempt": (lambda b: streams(b, attempts=b.streams.attempts[1:]), "wrong list of attempts"),
    "an attempt too many": (
        lambda b: streams(b, attempts=[*b.streams.attempts, attempt("dead", 3, "FAILED")]),
        "wrong list of attempts",
    ),
    "a lost dead letter": (lambda b: streams(b, dead=[]), "missing dead letters"),
    "a dead letter that nobody is told of": (lambda b: streams(b, operations=[]), "never told"),
    "a dead letter that is told under two ids": (
        lambda b: streams(b, operations=[*b.streams.operations, told("dead", "o2")]),
        "told under several ids",
    ),
    "a dead letter that is told and none": (
        lambda b: streams(b, operations=[*b.streams.operations, told("good")]),
        "told of no dead letter",
    ),
    "a dead letter too many": (
        lambda b: streams(b, dead=[*b.streams.dead, delivery("good")]),
        "unexpected dead letters",
    ),
}


def test_nothing_is_wrong_with_perfect_books() -> None:
    verdict = judge(perfect())
    assert verdict.problems == []
    assert verdict.duplicates == 0


def test_nothing_is_wrong_with_a_repetition_that_goes_nowhere() -> None:
    assert judge(repeated("d1", dispatch("e2", 0, "0/0"))(perfect())).problems == []


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_wrong_is_noticed(name: str) -> None:
    plant, expected = PLANTED[name]
    assert any(expected in problem for problem in judge(plant(perfect())).problems)


def test_a_repeated_success_is_a_duplicate_and_no_problem() -> None:
    books = perfect()
    verdict = judge(replace(books, arrived=[*books.arrived, request("/ok/a"), request("/ok/a")]))
    assert (verdict.problems, verdict.duplicates) == ([], 2)


def test_an_event_whose_post_was_never_answered_may_be_there_twice() -> None:
    books = perfect()
    twice = streams(books, events=[*books.streams.events, record(BODY, ce_id="e2", ce_type="none")])
    open_try = replace(books.sent[0], unanswered=1)
    assert not [p for p in judge(replace(twice, sent=[open_try])).problems if "nobody sent" in p]
