"""Lists of what happened: whole in pages, filtered, bounded in time, and closed to whatever else is sent."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from rules.match import matches_type
from schemas.ids import derived_id
from tests.projections_fixture import Projections, Stages, make_event, projections, until
from tests.query_books import HOUR_MS, Books, stored_books

__all__ = ["projections"]

pytestmark = pytest.mark.stack

PROBES = [
    "' OR 1=1 --",
    "x' UNION SELECT 1 --",
    "\\' OR 1=1 --",
    "\\",
    "a\\b'c",
    "\x00",
    "a\x00' OR 1",
    "{x:String}",
    "{since:Int64}",
    "%",
    "_",
    "order_created",
    "$$",
    "`",
    '"',
    "\t\n\r",
    "/* ' */",
    "; DROP TABLE events",
    "\\N",
    "\ufffd☃",
]


@pytest.fixture(scope="module")
def books(projections: Projections) -> Books:
    return stored_books(projections, seed=4, count=300)


def ask(projections: Projections, path: str, expected: int = 200, /, **parameters: Any) -> dict[str, Any]:
    query = urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True)
    answered, body = projections.get(f"/api/v1/logs/{path}?{query}")
    assert answered == expected, (parameters, body)
    document: dict[str, Any] = json.loads(body)
    return document


def walk(projections: Projections, path: str, **parameters: Any) -> list[dict[str, Any]]:
    page = ask(projections, path, **parameters)
    rows: list[dict[str, Any]] = page["data"]
    while page["next_cursor"]:
        assert len(page["data"]) == parameters["limit"]
        page = ask(projections, path, cursor=page["next_cursor"], **parameters)
        rows += page["data"]
    return rows


KEYS: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {
    "events": lambda row: (row["received_at"], row["event_id"]),
    "deliveries": lambda row: (row["created_at"], row["delivery_id"]),
    "attempts": lambda row: (row["started_at"], row["event_id"], row["attempt"]),
    "rejections": lambda row: (row["received_at"], row["rejection_id"]),
    "operations": lambda row: (row["at"], row["operation_id"]),
}


@pytest.mark.parametrize("path", KEYS)
@pytest.mark.parametrize(("limit", "order"), [(7, "desc"), (7, "asc"), (1, "asc"), (499, "desc")])
def test_pages_are_the_whole_without_a_gap_or_a_repetition(
    projections: Projections, books: Books, path: str, limit: int, order: str
) -> None:
    topic = "refunds" if limit == 1 else None  # fewer pages
    rows = walk(projections, path, limit=limit, order=order, topic_id=topic)
    assert len(rows) == len([item for item in getattr(books, path) if topic in {None, item.topic_id}])
    key = KEYS[path]
    keys = [key(row) for row in rows]
    assert keys == sorted(keys, key=lambda item: item[0], reverse=order == "desc")
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert not [name for row in rows for name in row if name.startswith("_")]


async def test_rows_that_arrive_between_two_pages_leave_neither_gap_nor_repetition(
    projections: Projections, books: Books
) -> None:
    at_ms = books.now_ms - 40 * HOUR_MS

    async def store(name: str, offset_ms: int, count: int) -> set[str]:
        made = [
            make_event(topic_id="arrivals", received_ms=at_ms + offset_ms, event_id=derived_id(at_ms, name, str(n)))
            for n in range(count)
        ]
        async with Stages(projections.settings) as stages:
            for event in made:
                await stages.event(event)
        path = f"/api/v1/logs/events/{made[-1].event_id}"
        await asyncio.to_thread(until, lambda: projections.get(path)[0] == 200, "the last one")
        return {event.event_id for event in made}

    first = await store("first", 0, 25)
    asked: dict[str, Any] = {"topic_id": "arrivals", "since": "-3d", "limit": 10}
    page = await asyncio.to_thread(ask, projections, "events", **asked)
    rows = page["data"]
    meanwhile = await store("same", 0, 5) | await store("newer", 60_000, 5) | await store("older", -60_000, 5)
    while page["next_cursor"]:
        page = await asyncio.to_thread(ask, projections, "events", cursor=page["next_cursor"], **asked)
        rows += page["data"]
    ids = [row["event_id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert first <= set(ids) <= first | meanwhile


def test_events_are_filtered_by_everything_that_is_known_of_them(projections: Projections, books: Books) -> None:
    def found(**parameters: Any) -> set[str]:
        return {row["event_id"] for row in walk(projections, "events", limit=500, **parameters)}

    def expected(check: Any) -> set[str]:
        return {event.event_id for event in books.events if check(event, books.dispatches.get(event.event_id))}

    assert found(topic_id="orders") == expected(lambda event, _: event.topic_id == "orders")
    assert found(source_id="bank") == expected(lambda event, _: event.source_id == "bank")
    for pattern in (
        "order.created",
        "order*",
        "*created",
        "o*.*d",
        "order_created",
        "100%",
        "100*",
        "a\\b'c",
        "a\\*",
        "*",
    ):
        assert found(event_type=pattern) == expected(lambda event, _, p=pattern: matches_type([p], event.event_type))
    assert found(event_type="%") == set()
    assert found(status="RECEIVED") == expected(lambda _, dispatch: dispatch is None)
    assert found(status="QUEUED") == expected(lambda _, dispatch: dispatch is not None)
    assert found(duplicate="true") == expected(lambda _, dispatch: dispatch is not None and dispatch.duplicate)
    assert found(duplicate="false", topic_id="orders", event_type="order*") == expected(
        lambda event, dispatch: (
            dispatch is not None
            and not dispatch.duplicate
            and event.topic_id == "orders"
            and event.event_type.startswith("order")
        )
    )
    assert found(dedup_id="sender-7") == {books.events[7].event_id}


def test_an_events_row_tells_what_became_of_it_and_shows_its_payload_when_asked(
    projections: Projections, books: Books
) -> None:
    rows = {row["event_id"]: row for row in walk(projections, "events", limit=500, payload="true")}
    for event in books.events:
        row, dispatch = rows[event.event_id], books.dispatches.get(event.event_id)
        assert (row["payload"], row["payload_encoding"]) == (event.body.decode(), "text")
        assert row["status"] == ("QUEUED" if dispatch else "RECEIVED")
        shown = (row["matched"], row["duplicate"]) if dispatch else ("matched" in row, "duplicate" in row)
        assert shown == ((dispatch.matched, dispatch.duplicate) if dispatch else (False, False))
    assert "payload" not in ask(projections, "events", limit=1)["data"][0]


def test_events_are_found_by_what_their_body_says_and_attempts_by_their_answer(
    projections: Projections, books: Books
) -> None:
    def events(**parameters: Any) -> list[str]:
        return [row["event_id"] for row in walk(projections, "events", limit=500, **parameters)]

    seventh = books.events[7]
    assert events(field="/n=7") == [seventh.event_id]
    assert events(text="7", field=["/n", "/n=7"], topic_id=seventh.topic_id) == [seventh.event_id]
    assert events(field="/n=7", text="8") == []
    answered = walk(projections, "attempts", limit=500, text="refused by the connection")
    assert [row["attempt"] for row in answered] == [item.attempt for item in books.attempts if item.error]
    for wrong in ({"field": "n=7"}, {"field": "/~2"}, {"text": "--"}, {"text": ["a"] * 6}):
        (error,) = ask(projections, "events", 422, **wrong)["errors"]
        assert error["field"].startswith(f"query.{next(iter(wrong))}")


def test_deliveries_and_attempts_and_rejections_are_filtered(projections: Projections, books: Books) -> None:
    def deliveries(**parameters: Any) -> set[str]:
        return {row["delivery_id"] for row in walk(projections, "deliveries", limit=500, **parameters)}

    for states in (["FAILED"], ["PENDING", "SUCCESS"]):
        assert deliveries(status=states) == {key for key, state in books.states.items() if state in states}
    some = next(item for item in books.deliveries if item.replay_id)
    assert deliveries(replay_id=some.replay_id) == {
        item.delivery_id for item in books.deliveries if item.replay_id == some.replay_id
    }
    assert deliveries(event_id=some.event_id, subscription_id=some.subscription_id) >= {some.delivery_id}
    assert deliveries(event_type="order.*", source_id="bank") == {
        item.delivery_id
        for item in books.deliveries
        if item.event_type.startswith("order.") and item.source_id == "bank"
    }

    def attempts(**parameters: Any) -> int:
        return len(walk(projections, "attempts", limit=500, **parameters))

    for name, value in (
        ("subscription_id", "audit"),
        ("status", "FAILED"),
        ("kind", "outcome"),
        ("response_status_code", 500),
        ("response_status_code", 0),
        ("event_id", some.event_id),
        ("delivery_id", some.delivery_id),
    ):
        assert attempts(**{name: value}) == sum(getattr(item, name) == value for item in books.attempts)
    rejected = walk(projections, "rejections", limit=500, code="token_wrong", source_id="shop")
    wanted = [item for item in books.rejections if (item.code, item.source_id) == ("token_wrong", "shop")]
    assert {row["rejection_id"] for row in rejected} == {item.rejection_id for item in wanted}


def test_operations_are_filtered_and_show_their_detail_as_it_was(projections: Projections, books: Books) -> None:
    some = books.operations[0]
    for name in ("kind", "subject_kind", "subject_id", "subscription_id", "topic_id", "event_id"):
        rows = walk(projections, "operations", limit=500, **{name: getattr(some, name)})
        assert {row["operation_id"] for row in rows} == {
            item.operation_id for item in books.operations if getattr(item, name) == getattr(some, name)
        }
    (row,) = ask(projections, "operations", event_id=some.event_id)["data"]
    assert (row["message"], row["detail"]) == (some.message, some.detail)


def test_one_delivery_and_one_rejection_are_found_by_id(projections: Projections, books: Books) -> None:
    tried = books.attempts[0]
    delivery = ask(projections, f"deliveries/{tried.delivery_id}")
    made = [item for item in books.attempts if item.delivery_id == tried.delivery_id]
    assert delivery["status"] == books.states[tried.delivery_id]
    assert sorted(item["attempt"] for item in delivery["attempts"]) == [item.attempt for item in made]
    assert {item["response_status_code"] for item in delivery["attempts"]} == {
        item.response_status_code or None for item in made
    }
    refused = books.rejections[0]
    assert ask(projections, f"rejections/{refused.rejection_id}")["payload"] == "forged"
    for path in ("deliveries/none", "rejections/none", "events/none"):
        assert ask(projections, path, 404)["code"] == "not_found"


def test_a_span_holds_its_beginning_and_not_its_end(projections: Projections, books: Books) -> None:
    at_ms = sorted(event.received_ms for event in books.events)[150]
    before = ask(projections, "events", limit=500, until=at_ms)["data"]
    since = ask(projections, "events", limit=500, since=at_ms)["data"]
    assert len(before) == sum(event.received_ms < at_ms for event in books.events)
    assert len(since) == sum(event.received_ms >= at_ms for event in books.events)
    assert ask(projections, "events", since="-15m")["data"] == []
    assert ask(projections, "events", since="2026-01-01T00:00:00Z", until="2026-01-01T00:00:00+00:00")["data"] == []


@pytest.mark.parametrize("path", KEYS)
def test_what_is_wrong_with_a_question_is_said_by_name(projections: Projections, books: Books, path: str) -> None:
    assert books.events

    def fields(**parameters: Any) -> set[str]:
        problem = ask(projections, path, 422, **parameters)
        assert problem["code"] == "invalid"
        return {error["field"] for error in problem["errors"]}

    assert fields(evnt_type="push", topics="x") == {"query.evnt_type", "query.topics"}
    assert fields(since="-32d") == {"query.since"}
    assert fields(since="yesterday") == {"query.since"}
    assert fields(since="2026-01-01T00:00:00") == {"query.since"}
    assert fields(until="-") == {"query.until"}
    assert fields(since="-1h", until="-2h") == {"query.until"}
    assert fields(limit=0) == fields(limit=501) == {"query.limit"}
    assert fields(order="up") == {"query.order"}
    assert fields(topic_id="") == {"query.topic_id"}
    assert fields(since="yesterday", until="-", limit=0, nothing=1) == {
        *("query.since", "query.until", "query.limit", "query.nothing")
    }


def test_a_cursor_goes_on_only_with_its_own_question(projections: Projections, books: Books) -> None:
    assert books.events
    cursor = ask(projections, "events", limit=3)["next_cursor"]
    assert len(ask(projections, "events", limit=5, cursor=cursor)["data"]) == 5
    others: list[tuple[str, dict[str, Any]]] = [
        ("events", {"order": "asc"}),
        ("events", {"topic_id": "orders"}),
        ("events", {"since": "-2h"}),
        ("rejections", {}),
    ]
    for path, parameters in others:
        assert ask(projections, path, 400, cursor=cursor, **parameters)["code"] == "cursor_of_another_list"
    for wrong in ("x", "%%%", "é", cursor[:-4], cursor + "AAAA", "bnVsbA", "W10", "W1tbW1tb", "A" * 4000):
        assert ask(projections, "events", 400, cursor=wrong)["code"].startswith("cursor_")


@pytest.mark.parametrize("probe", PROBES)
def test_what_looks_like_sql_is_only_ever_a_value(projections: Projections, books: Books, probe: str) -> None:
    for path, names in (
        ("events", ("topic_id", "source_id", "event_type", "dedup_id")),
        (
            "deliveries",
            ("subscription_id", "topic_id", "event_id", "source_id", "event_type", "reason", "replay_id"),
        ),
        ("attempts", ("delivery_id", "event_id", "subscription_id", "topic_id")),
        ("rejections", ("source_id", "topic_id", "code")),
        ("operations", ("kind", "subject_id", "subscription_id", "topic_id", "event_id", "delivery_id")),
    ):
        for name in names:
            rows = ask(projections, path, limit=500, **{name: probe})["data"]
            assert len(rows) == sum(getattr(item, name, None) == probe for item in getattr(books, path))
    # In the middle of a pattern, and beside a filter on dispatches.
    assert ask(projections, "events", event_type=f"*{probe}*x", status="QUEUED")["data"] == []
    assert ask(projections, "events", field=[f"/{probe}=1".replace("~", "~0"), f"/n={probe}"])["data"] == []
    assert ask(projections, "events", text=f"nowhere {probe}")["data"] == []
    assert ask(projections, "attempts", text=f"nowhere {probe}")["data"] == []
