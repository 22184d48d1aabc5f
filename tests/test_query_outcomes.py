"""The funnel and the top errors agree with books that were kept apart."""

import json
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import pytest

from schemas.attempt import Attempt
from schemas.headers import rfc3339
from tests.projections_fixture import Projections, projections
from tests.query_books import Books, stored_books

__all__ = ["projections"]

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def books(projections: Projections) -> Books:
    return stored_books(projections, seed=6, count=200)


def ask(projections: Projections, path: str, **parameters: Any) -> dict[str, Any]:
    status, body = projections.get(f"/api/v1/stats/{path}?{urlencode(parameters)}")
    assert status == 200, (parameters, body)
    document: dict[str, Any] = json.loads(body)
    return document


def wrong(projections: Projections, path: str, **parameters: Any) -> set[str]:
    status, body = projections.get(f"/api/v1/stats/{path}?{urlencode(parameters)}")
    assert status == 422, (parameters, body)
    return {error["field"] for error in json.loads(body)["errors"]}


@pytest.mark.parametrize("topic", [None, "orders", "none"])
def test_the_funnel_loses_nothing_on_its_way(projections: Projections, books: Books, topic: str | None) -> None:
    found = ask(projections, "funnel", **({"topic_id": topic} if topic else {}))
    of = [item for item in books.deliveries if topic in {None, item.topic_id}]
    dispatches = [item for item in books.dispatches.values() if topic in {None, item.topic_id}]
    refusals = [item for item in books.rejections if topic in {None, item.topic_id}]
    made = Counter(item.delivery_id for item in books.attempts if item.kind == "attempt")
    successes = [item for item in of if books.states[item.delivery_id] == "SUCCESS"]
    after = Counter(str(made[item.delivery_id] - 1) for item in successes if made[item.delivery_id] > 1)
    assert found["accepted"] == sum(topic in {None, item.topic_id} for item in books.events)
    assert found["accepted"] == found["dispatched"] + found["waiting"]
    assert found["dispatched"] == len(dispatches)
    assert found["duplicates"] == sum(item.duplicate for item in dispatches)
    assert found["unmatched"] == sum(not item.duplicate and not item.matched for item in dispatches)
    assert found["skipped"] == dict(sum((Counter(item.skipped) for item in dispatches), Counter()))
    assert found["refused"]["codes"] == dict(Counter(item.code for item in refusals))
    assert found["refused"]["total"] == len(refusals) + sum(item.unrecorded for item in refusals)
    assert found["delivered"]["after_retries"] == dict(after)
    assert found["delivered"]["first_try"] == len(successes) - after.total()
    ends = sum(found[name]["total"] for name in ("delivered", "failed", "cancelled", "pending"))
    assert found["matched"] + found["replayed"] == ends == len(of)
    for name in ("failed", "cancelled"):
        assert sum(found[name]["reasons"].values()) == found[name]["total"]


def key_of(item: Attempt, per: str) -> tuple[Any, ...]:
    what = (item.reason, item.response_status_code or None, item.error, item.kind)
    return (*what, *({"all": (), "subscription": (item.subscription_id,), "topic": (item.topic_id,)}[per]))


@pytest.mark.parametrize("per", ["all", "subscription", "topic"])
def test_errors_are_counted_by_what_went_wrong_the_most_first(projections: Projections, books: Books, per: str) -> None:
    failures = [item for item in books.attempts if item.status != "SUCCESS"]
    expected: dict[tuple[Any, ...], list[Attempt]] = {}
    for item in failures:
        expected.setdefault(key_of(item, per), []).append(item)
    found = ask(projections, "errors", per=per, limit=500)
    names = ("reason", "response_status_code", "error", "kind", *(() if per == "all" else (f"{per}_id",)))
    rows = {tuple(row[name] for name in names): row for row in found["data"]}
    assert rows.keys() == expected.keys()
    assert not found["more"]
    counts = [row["count"] for row in found["data"]]
    assert counts == sorted(counts, reverse=True)
    for key, items in expected.items():
        row = rows[key]
        assert (row["count"], row["deliveries"]) == (len(items), len({item.delivery_id for item in items}))
        assert row["first_at"] == rfc3339(min(item.started_ms for item in items))
        newest = max(item.started_ms for item in items)
        assert row["last_at"] == rfc3339(newest)
        assert row["example"]["event_id"] in {item.event_id for item in items if item.started_ms == newest}
    assert ask(projections, "errors", per=per, limit=1) == {"data": found["data"][:1], "more": True}


def test_errors_are_narrowed_and_mistakes_in_asking_are_named(projections: Projections, books: Books) -> None:
    one = [item for item in books.attempts if item.subscription_id == "audit" and item.status != "SUCCESS"]
    rows = ask(projections, "errors", subscription_id="audit", limit=500)["data"]
    assert sum(row["count"] for row in rows) == len(one)
    assert ask(projections, "errors", subscription_id="' OR 1=1 --")["data"] == []
    assert wrong(projections, "errors", per="x", limit=0, since="x", y=1) == {
        *("query.per", "query.limit", "query.since", "query.y")
    }
    assert wrong(projections, "funnel", since="-32d") == {"query.since"}
