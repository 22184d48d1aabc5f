"""Lists with filters, and references, over HTTP."""

from typing import Any

import httpx
import pytest

from tests.ingest_fixture import Gateway, admin, gateway

__all__ = ["admin", "gateway"]

SOURCES, TOPICS, SUBSCRIPTIONS = "/api/v1/sources", "/api/v1/topics", "/api/v1/subscriptions"


@pytest.fixture(scope="module", autouse=True)
def records(gateway: Gateway) -> None:
    hook = {"target_url": "http://127.0.0.1:9/hook"}
    made: list[tuple[str, dict[str, Any]]] = [
        (f"{SOURCES}/git", {"auth_type": "github", "secret": "s", "name": "Code"}),
        (f"{SOURCES}/open", {"auth_type": "none", "name": "Open"}),
        (f"{TOPICS}/pushes", {"source_id": "git"}),
        (f"{TOPICS}/issues", {"source_id": "git", "name": "Tickets"}),
        (f"{TOPICS}/noise", {"source_id": "open"}),
        (f"{SUBSCRIPTIONS}/ci", hook | {"topic_id": "pushes", "event_types": ["push"], "subscriber_name": "CI"}),
        (f"{SUBSCRIPTIONS}/chat", hook | {"topic_id": "pushes", "subscriber_name": "Chat"}),
        (f"{SUBSCRIPTIONS}/old", hook | {"topic_id": "issues", "is_active": False}),
        (f"{SUBSCRIPTIONS}/lake", {"topic_id": "*", "target_url": "http://127.0.0.1:9/lake"}),
    ]
    with gateway.admin as client:
        for path, document in made:
            assert client.put(path, json=document).status_code == 201


def ids(admin: httpx.Client, path: str, **params: Any) -> list[str]:
    """The ids on all pages, one record a page."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = admin.get(path, params=params | {"limit": 1, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        found += [item["id"] for item in answer.json()["data"]]
        cursor = answer.json()["next_cursor"]
    return found


def test_a_list_shows_what_the_filters_leave(admin: httpx.Client) -> None:
    assert ids(admin, SOURCES) == ["git", "open"]
    assert ids(admin, SOURCES, auth_type="none") == ["open"]
    assert ids(admin, SOURCES, name="Code") == ["git"]
    assert ids(admin, SOURCES, q="cod") == ["git"]
    assert ids(admin, TOPICS, source_id="git") == ["issues", "pushes"]
    assert ids(admin, TOPICS, source_id="git", q="ticket") == ["issues"]
    assert ids(admin, TOPICS, source_id="nobody") == []
    assert ids(admin, SUBSCRIPTIONS, topic_id="pushes") == ["chat", "ci"]
    assert ids(admin, SUBSCRIPTIONS, topic_id="*") == ["lake"]
    assert ids(admin, SUBSCRIPTIONS, is_active="false") == ["old"]
    assert ids(admin, SUBSCRIPTIONS, subscriber_name="CI") == ["ci"]
    assert ids(admin, SUBSCRIPTIONS, event_type="pull_request") == ["chat", "lake", "old"]
    assert ids(admin, SUBSCRIPTIONS, target_url="http://127.0.0.1:9/la") == ["lake"]
    assert ids(admin, SUBSCRIPTIONS, target_url="127.0.0.1", is_active="true") == ["chat", "ci", "lake"]


def test_a_list_shows_no_secret_and_no_version_that_get_does_not(admin: httpx.Client) -> None:
    for item in admin.get(SOURCES).json()["data"]:
        assert item == admin.get(f"{SOURCES}/{item['id']}").json()


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        (SOURCES, {"colour": "red"}, "colour"),
        (SOURCES, {"topic_id": "pushes"}, "topic_id"),
        (SOURCES, {"limit": "many"}, "limit"),
        (SUBSCRIPTIONS, {"limit": "501"}, "limit"),
        (SUBSCRIPTIONS, {"is_active": "perhaps"}, "is_active"),
        (TOPICS, [("q", "a"), ("q", "b")], "q"),
        (f"{TOPICS}/pushes/references", {"q": "c"}, "q"),
    ],
)
def test_a_parameter_that_is_unknown_or_wrong_is_named(admin: httpx.Client, path: str, params: Any, field: str) -> None:
    answer = admin.get(path, params=params)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_cursor_stays_valid_when_its_record_goes(admin: httpx.Client) -> None:
    for number in range(3):
        admin.put(f"{TOPICS}/gone-{number}", json={"source_id": "open"})
    first = admin.get(TOPICS, params={"q": "gone-", "limit": 2}).json()
    assert [item["id"] for item in first["data"]] == ["gone-0", "gone-1"]
    admin.delete(f"{TOPICS}/gone-1")
    admin.put(f"{TOPICS}/gone-00", json={"source_id": "open"})
    admin.put(f"{TOPICS}/gone-3", json={"source_id": "open"})
    rest = admin.get(TOPICS, params={"q": "gone-", "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in rest["data"]] == ["gone-2", "gone-3"]
    for record_id in ("gone-0", "gone-00", "gone-2", "gone-3"):
        admin.delete(f"{TOPICS}/{record_id}")


def test_references_are_paged_and_counted(admin: httpx.Client) -> None:
    first = admin.get(f"{SOURCES}/git/references", params={"limit": 1}).json()
    assert first["data"] == [{"kind": "topics", "id": "issues", "name": "Tickets"}]
    assert first["counts"] == {"topics": 2}
    rest = admin.get(f"{SOURCES}/git/references", params={"cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in rest["data"]] == ["pushes"]
    assert rest["next_cursor"] is None
    of_topic = admin.get(f"{TOPICS}/pushes/references").json()
    assert [item["id"] for item in of_topic["data"]] == ["chat", "ci"]  # a subscription of all topics is nobody's
    assert of_topic["counts"] == {"subscriptions": 2}
    assert admin.get(f"{SUBSCRIPTIONS}/ci/references").json() == {"data": [], "next_cursor": None, "counts": {}}
    assert admin.get(f"{TOPICS}/no-such/references").status_code == 404
    assert admin.get(f"{TOPICS}/*/references").status_code == 404


def test_the_references_of_what_is_not_there_are_found_too(admin: httpx.Client) -> None:
    admin.put(f"{TOPICS}/orphan", json={"source_id": "missing"})
    assert [item["id"] for item in admin.get(f"{SOURCES}/missing/references").json()["data"]] == ["orphan"]
    admin.delete(f"{TOPICS}/orphan")


def test_a_reference_to_nothing_is_taken_and_named(admin: httpx.Client) -> None:
    made = admin.post(TOPICS, json={"id": "early", "source_id": "late"})
    assert made.status_code == 201
    warnings = made.json()["warnings"]
    assert [(warning["field"], warning["code"]) for warning in warnings] == [("source_id", "dangling_reference")]
    assert "late" in warnings[0]["message"]
    read = admin.get(f"{TOPICS}/early").json()
    assert read["warnings"] == warnings
    replaced = admin.put(f"{TOPICS}/early", json=read | {"name": "Early"})  # what was read can be sent back
    assert (replaced.status_code, replaced.json()["warnings"]) == (200, warnings)
    assert admin.patch(f"{TOPICS}/early", json={"name": "E"}).json()["warnings"] == warnings
    listed = admin.get(TOPICS, params={"q": "early"}).json()["data"]
    assert listed[0]["warnings"] == warnings
    admin.put(f"{SOURCES}/late", json={"auth_type": "none"})
    assert "warnings" not in admin.get(f"{TOPICS}/early").json()
    hook = {"target_url": "http://127.0.0.1:9/hook"}
    assert admin.post(SUBSCRIPTIONS, json=hook | {"topic_id": "none"}).json()["warnings"][0]["field"] == "topic_id"
    assert "warnings" not in admin.post(SUBSCRIPTIONS, json=hook | {"topic_id": "*"}).json()
