"""DELETE with what refers to the record, against the real config agent."""

import asyncio
from typing import Any

import httpx
import pytest

from ingest.config_commands import MAX_AT_ONCE
from runtime.kafka import Appender, Outgoing
from schemas.streams import INTAKE, TABLES, StreamNames
from tests.concurrently import run_together
from tests.ingest_fixture import Gateway, admin, gateway, wait_until

__all__ = ["admin", "gateway"]

SOURCES, TOPICS, SUBSCRIPTIONS = "/api/v1/sources", "/api/v1/topics", "/api/v1/subscriptions"


@pytest.fixture
def shop(admin: httpx.Client) -> str:
    """A source with two topics, of which one has two subscriptions; one more subscription is of all topics."""
    hook = {"target_url": "http://127.0.0.1:9/hook"}
    made: list[tuple[str, dict[str, Any]]] = [
        (f"{SOURCES}/shop", {"auth_type": "none"}),
        (f"{TOPICS}/orders", {"source_id": "shop"}),
        (f"{TOPICS}/carts", {"source_id": "shop"}),
        (f"{SUBSCRIPTIONS}/billing", hook | {"topic_id": "orders"}),
        (f"{SUBSCRIPTIONS}/mail", hook | {"topic_id": "orders"}),
        (f"{SUBSCRIPTIONS}/lake", hook | {"topic_id": "*"}),
    ]
    for path, document in made:
        assert admin.put(path, json=document).status_code in {200, 201}
    return f"{SOURCES}/shop"


def existing(admin: httpx.Client) -> set[str]:
    pages = [admin.get(path, params={"limit": 500}).json() for path in (SOURCES, TOPICS, SUBSCRIPTIONS)]
    return {item["id"] for page in pages for item in page["data"]}


def test_what_refers_to_a_record_goes_before_it(admin: httpx.Client, shop: str, gateway: Gateway) -> None:
    start = {kind: len(gateway.records(stream)) for kind, stream in TABLES.items()}
    assert admin.delete(shop).status_code == 204
    assert existing(admin) & {"shop", "orders", "carts", "billing", "mail", "lake"} == {"lake"}
    deleted = [
        (record.timestamp, (record.key or b"").decode())
        for kind, stream in TABLES.items()
        for record in gateway.records(stream)[start[kind] :]
        if record.value is None
    ]
    at = {record_id: timestamp for timestamp, record_id in deleted}
    assert set(at) == {"shop", "orders", "carts", "billing", "mail"}
    assert max(at["billing"], at["mail"]) <= min(at["orders"], at["carts"])
    assert max(at["orders"], at["carts"]) <= at["shop"]
    assert admin.delete(shop).status_code == 404


def test_a_dry_run_tells_what_would_go_and_deletes_nothing(admin: httpx.Client, shop: str) -> None:
    before = existing(admin)
    answer = admin.delete(shop, params={"dry_run": "true"})
    assert answer.status_code == 200
    assert answer.json() == {
        "dry_run": True,
        "counts": {"subscriptions": 2, "topics": 2, "sources": 1},
        "data": [
            {"kind": "subscriptions", "id": "billing"},
            {"kind": "subscriptions", "id": "mail"},
            {"kind": "topics", "id": "carts"},
            {"kind": "topics", "id": "orders"},
            {"kind": "sources", "id": "shop"},
        ],
        "truncated": False,
    }
    assert existing(admin) == before


def test_without_a_cascade_only_what_nothing_refers_to_goes(admin: httpx.Client, shop: str) -> None:
    alone = {"cascade": "false"}
    for params in (alone, alone | {"dry_run": "true"}):
        refused = admin.delete(shop, params=params)
        assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
        assert refused.json()["counts"] == {"topics": 2}
        assert refused.json()["references"] == [{"kind": "topics", "id": "carts"}, {"kind": "topics", "id": "orders"}]
    assert admin.delete(f"{TOPICS}/carts", params=alone).status_code == 204
    assert admin.delete(f"{SUBSCRIPTIONS}/mail", params=alone).status_code == 204
    assert {"shop", "orders", "billing"} <= existing(admin)


def test_a_misspelt_parameter_deletes_nothing(admin: httpx.Client, shop: str) -> None:
    for params in ({"dryrun": "true"}, {"cascade": "maybe"}):
        assert admin.delete(shop, params=params).status_code == 422
    assert {"shop", "orders", "carts", "billing", "mail"} <= existing(admin)


def test_the_condition_is_that_of_the_record_in_the_url(admin: httpx.Client, shop: str) -> None:
    tag = admin.get(shop).headers["etag"]
    assert admin.delete(shop, headers={"If-Match": '"0"'}).status_code == 412
    assert {"shop", "orders", "billing"} <= existing(admin)
    assert admin.delete(shop, headers={"If-Match": tag}).status_code == 204


@pytest.mark.parametrize("done", [["billing"], ["billing", "mail", "orders"]])
def test_a_repeat_finishes_what_a_crash_left(admin: httpx.Client, shop: str, done: list[str]) -> None:
    for record_id in done:  # a crash leaves the parents, because the children go first
        path = TOPICS if record_id == "orders" else SUBSCRIPTIONS
        assert admin.delete(f"{path}/{record_id}").status_code == 204
    assert admin.delete(shop).status_code == 204
    assert existing(admin) & {"shop", "orders", "carts", "billing", "mail"} == set()


def test_what_came_in_between_goes_with_a_repeat(admin: httpx.Client) -> None:
    admin.put(f"{TOPICS}/late-child", json={"source_id": "long-gone"})
    assert admin.delete(f"{SOURCES}/long-gone").status_code == 204
    assert admin.get(f"{TOPICS}/late-child").status_code == 404
    assert admin.delete(f"{SOURCES}/long-gone").status_code == 404


def test_the_topic_of_all_topics_is_no_record_that_could_be_deleted(admin: httpx.Client, shop: str) -> None:
    assert admin.delete(f"{TOPICS}/*").status_code == 404
    assert admin.delete(shop).status_code == 204
    assert admin.get(f"{SUBSCRIPTIONS}/lake").status_code == 200


def test_of_many_that_delete_the_same_one_does_and_nobody_fails(
    admin: httpx.Client, shop: str, gateway: Gateway
) -> None:
    def delete(_: int) -> int:
        with gateway.admin as client:
            return client.delete(shop).status_code

    statuses = run_together(delete, 4)
    assert set(statuses) <= {204, 404}
    assert 204 in statuses
    assert existing(admin) & {"shop", "orders", "carts", "billing", "mail"} == set()


def test_more_children_than_one_order_takes_all_go(admin: httpx.Client, gateway: Gateway) -> None:
    count = MAX_AT_ONCE * 2 + 1
    admin.put(f"{TOPICS}/crowded", json={"source_id": "s"})
    asyncio.run(subscribe(gateway, count))
    counted = {"subscriptions": count}
    wait_until(lambda: admin.get(f"{TOPICS}/crowded/references").json()["counts"] == counted)
    preview = admin.delete(f"{TOPICS}/crowded", params={"dry_run": "true"}).json()
    assert preview["counts"] == {"subscriptions": count, "topics": 1}
    assert admin.delete(f"{TOPICS}/crowded").status_code == 204
    assert admin.get(f"{TOPICS}/crowded/references").status_code == 404


async def subscribe(gateway: Gateway, count: int) -> None:
    """Produces subscriptions, as any team may."""
    appender = Appender(gateway.settings.bootstrap, StreamNames(gateway.settings.kafka_prefix))
    await appender.start()
    value = b'{"topic_id":"crowded","target_url":"http://127.0.0.1:9/hook"}'
    await appender.append_all(
        [Outgoing(INTAKE["subscriptions"], value, f"crowd-{number}".encode()) for number in range(count)]
    )
    await appender.stop()
