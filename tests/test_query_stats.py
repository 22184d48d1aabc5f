"""Figures agree with books that were kept apart; a task tells whether an event is done."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from projections.query.tasks import task_of
from schemas.attempt import Attempt, AttemptKind
from schemas.headers import rfc3339
from tests.projections_fixture import Projections, projections
from tests.query_books import ENDS, HOUR_MS, Books, stored_books

__all__ = ["projections"]

pytestmark = pytest.mark.stack

STEP_MS = {"hour": HOUR_MS, "day": 24 * HOUR_MS, "60": 60_000, "5400": 5_400_000}


@pytest.fixture(scope="module")
def books(projections: Projections) -> Books:
    return stored_books(projections, seed=5, count=200)


def ask(projections: Projections, path: str, expected: int = 200, /, **parameters: Any) -> dict[str, Any]:
    status, body = projections.get(f"/api/{path}?{urlencode(parameters)}")
    assert status == expected, (parameters, body)
    document: dict[str, Any] = json.loads(body)
    return document


def nearest_rank(durations: Sequence[int], share: float) -> int:
    """The smallest duration that at least this share of all did not exceed."""
    return sorted(durations)[math.ceil(share * len(durations)) - 1]


def figures(attempts: Sequence[Attempt]) -> dict[str, Any]:
    made = [item for item in attempts if item.kind is AttemptKind.ATTEMPT]
    good = sum(item.status == "SUCCESS" for item in made)
    durations = [item.duration_ms for item in made]
    return {
        "attempts": len(made),
        "successes": good,
        "failures": len(made) - good,
        "retries": sum(item.attempt > 1 for item in made),
        "success_rate": good / len(made) if made else None,
        "p50_ms": nearest_rank(durations, 0.5) if made else None,
        "p95_ms": nearest_rank(durations, 0.95) if made else None,
        "p99_ms": nearest_rank(durations, 0.99) if made else None,
    }


def expected_rows(books: Books, column: str, step: str) -> list[dict[str, Any]]:
    groups: dict[tuple[int, str], list[Attempt]] = {}
    for attempt in books.attempts:
        at_ms = attempt.started_ms // STEP_MS[step] * STEP_MS[step]
        groups.setdefault((at_ms, getattr(attempt, column)), []).append(attempt)
    return [
        {"at": rfc3339(at_ms), column: name}
        | figures(attempts)
        | {
            "deliveries": {
                state: len({item.delivery_id for item in attempts if item.status == state}) for state in ENDS
            }
        }
        for (at_ms, name), attempts in sorted(groups.items(), reverse=True)
    ]


@pytest.mark.parametrize("step", STEP_MS)
@pytest.mark.parametrize(("path", "column"), [("subscriptions", "subscription_id"), ("topics", "topic_id")])
def test_figures_by_hour_and_day_are_those_of_the_books(
    projections: Projections, books: Books, path: str, column: str, step: str
) -> None:
    expected = expected_rows(books, column, step)
    assert ask(projections, f"v1/stats/{path}", step=step) == {"data": expected, "next_cursor": None}
    one = expected[0][column]
    narrowed = ask(projections, f"v1/stats/{path}", step=step, order="asc", **{column: one})["data"]
    assert narrowed == [row for row in reversed(expected) if row[column] == one]


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_figures_come_in_pages(projections: Projections, books: Books, order: str) -> None:
    expected = expected_rows(books, "subscription_id", "hour")
    page = ask(projections, "v1/stats/subscriptions", limit=4, order=order)
    rows = page["data"]
    while page["next_cursor"]:
        page = ask(projections, "v1/stats/subscriptions", limit=4, order=order, cursor=page["next_cursor"])
        rows += page["data"]
    assert rows == (expected if order == "desc" else expected[::-1])


def test_an_hour_is_whole_wherever_a_range_cuts_it(projections: Projections, books: Books) -> None:
    middle = books.attempts[0].started_ms
    hour = rfc3339(middle // HOUR_MS * HOUR_MS)
    cut = ask(projections, "v1/stats/subscriptions", since=middle, until=middle + 1)["data"]
    assert cut == [row for row in expected_rows(books, "subscription_id", "hour") if row["at"] == hour]


@pytest.mark.parametrize("topic", ["", "orders"])
def test_totals_add_up(projections: Projections, books: Books, topic: str) -> None:
    def of(items: Sequence[Any]) -> list[Any]:
        return [item for item in items if not topic or item.topic_id == topic]

    totals = ask(projections, "v1/stats/overview", **({"topic_id": topic} if topic else {}))
    dispatches, deliveries = of(list(books.dispatches.values())), of(books.deliveries)
    states = Counter(books.states[item.delivery_id] for item in deliveries)
    assert totals | {"since": "", "until": ""} == {
        "since": "",
        "until": "",
        "accepted": len(of(books.events)),
        "rejected": sum(1 + item.unrecorded for item in of(books.rejections)),
        "dispatched": len(dispatches),
        "duplicates": sum(item.duplicate for item in dispatches),
        "matched": sum(item.matched for item in dispatches),
        "replayed": sum(bool(item.replay_id) for item in deliveries),
        "deliveries": {state: states[state] for state in ("PENDING", "RETRYING", "SUCCESS", "FAILED", "CANCELLED")},
        **figures(of(books.attempts)),
    }
    assert totals["matched"] + totals["replayed"] == sum(totals["deliveries"].values())


def test_what_is_wrong_with_a_question_about_figures_is_said_by_name(projections: Projections, books: Books) -> None:
    assert books.events
    for parameters in ({"step": "month"}, {"step": "7"}, {"limit": 1_001}, {"since": "-800d"}, {"source_id": "shop"}):
        (name,) = parameters
        problem = ask(projections, "v1/stats/subscriptions", 422, **parameters)
        assert [error["field"] for error in problem["errors"]] == [f"query.{name}"]
    assert ask(projections, "v1/stats/topics", step="day", since="-40d")["data"]
    assert ask(projections, "v1/stats/topics", 422, step="900", since="-40d")["errors"][0]["field"] == "query.since"
    assert ask(projections, "v1/stats/overview", 422, step="day")["errors"][0]["field"] == "query.step"
    cursor = ask(projections, "v1/stats/topics", limit=1)["next_cursor"]
    assert ask(projections, "v1/stats/subscriptions", 400, cursor=cursor)["code"] == "cursor_of_another_list"


def test_a_task_is_what_became_of_its_event(projections: Projections, books: Books) -> None:
    for event in books.events[:60]:
        task = ask(projections, f"tasks/{event.event_id}")
        mine = [item for item in books.deliveries if item.event_id == event.event_id]
        dispatch = books.dispatches.get(event.event_id)
        assert (task["task_id"], task["started_at"]) == (event.event_id, rfc3339(event.received_ms))
        assert task["deliveries"] == Counter(books.states[item.delivery_id] for item in mine)
        assert {item["delivery_id"] for item in task["result"]["deliveries"]} == {item.delivery_id for item in mine}
        assert task["result"]["duplicate"] == (dispatch.duplicate if dispatch else None)
        open_states = {"RECEIVED", "PENDING", "RETRYING"}
        assert (task["ended_at"] is None) == (task["status"] in open_states)
        assert (task["status"] == "RECEIVED") == (dispatch is None)
    refused = ask(projections, f"tasks/{books.rejections[0].rejection_id}")
    assert (refused["status"], refused["result"]["code"]) == ("FAILED_VALIDATION", books.rejections[0].code)
    assert ask(projections, "tasks/none", 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("matched", "states", "status"),
    [
        (0, [], "SUCCESS"),
        (1, [], "PENDING"),  # dispatched, its delivery is not stored yet
        (2, [("a", "", "SUCCESS")], "PENDING"),
        (2, [("a", "", "SUCCESS"), ("b", "", "RETRYING")], "RETRYING"),
        (2, [("a", "", "SUCCESS"), ("b", "", "CANCELLED")], "CANCELLED"),
        (2, [("a", "", "FAILED"), ("b", "", "CANCELLED")], "FAILED"),
        (1, [("a", "", "FAILED"), ("a", "1", "SUCCESS")], "SUCCESS"),
        (1, [("a", "", "FAILED"), ("a", "1", "SUCCESS"), ("a", "2", "FAILED")], "FAILED"),
        (2, [("a", "", "FAILED"), ("a", "1", "SUCCESS"), ("b", "", "SUCCESS")], "SUCCESS"),
    ],
)
def test_the_last_delivery_of_each_subscription_decides(
    matched: int, states: list[tuple[str, str, str]], status: str
) -> None:
    ended = {"SUCCESS", "FAILED", "CANCELLED"}
    rows = [
        {
            "delivery_id": f"{name}{replay}",
            "subscription_id": name,
            "replay_id": replay,
            "status": state,
            "completed_at": f"t{number}" if state in ended else None,
        }
        for number, (name, replay, state) in enumerate(states)
    ]
    event = {"event_id": "e", "topic_id": "t", "source_id": "s", "event_type": "x", "received_at": "r"}
    task = task_of(event, {"matched": matched, "duplicate": False, "dispatched_at": "d"}, rows)
    assert task["status"] == status
    last = f"t{len(rows) - 1}" if rows else "d"
    assert task["ended_at"] == (last if status in ended else None)
    assert sum(task["deliveries"].values()) == max(len(rows), matched)
