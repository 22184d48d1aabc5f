"""DELETE with what refers to the record, against the real config agent."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from ingest.config_commands import MAX_AT_ONCE
from ingest.parts import Parts
from runtime.embedded.broker_files import free_port
from runtime.kafka import Appender, Outgoing
from runtime.keyring import Keyring
from schemas.streams import INTAKE, TABLES, StreamNames
from tests.concurrently import run_together
from tests.ingest_fixture import ADMIN_KEY, KEYS, Gateway, admin, answers, gateway, wait_until

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


def test_a_child_that_was_changed_since_it_was_seen_stays(admin: httpx.Client, shop: str, gateway: Gateway) -> None:
    seen = {record_id: admin.get(f"{SUBSCRIPTIONS}/{record_id}").json()["version"] for record_id in ("billing", "mail")}
    admin.patch(f"{SUBSCRIPTIONS}/mail", json={"topic_id": "moved"})
    asyncio.run(delete_as_seen(gateway, seen))
    assert existing(admin) & set(seen) == {"mail"}
    assert admin.delete(shop).status_code == 204
    assert existing(admin) & {"shop", "orders", "billing", "mail"} == {"mail"}


async def delete_as_seen(gateway: Gateway, versions: dict[str, int]) -> None:
    parts = Parts(gateway.settings, Keyring.parse(KEYS))
    await parts.start()
    try:
        await parts.commands.delete_versions("subscriptions", versions, "admin")
    finally:
        await parts.stop()


def test_a_repeat_finishes_after_a_kill_in_the_middle(admin: httpx.Client, gateway: Gateway) -> None:
    count = MAX_AT_ONCE * 3 + 1
    path = f"{TOPICS}/crowded"
    admin.put(path, json={"source_id": "s"})
    asyncio.run(subscribe(gateway, count))
    wait_until(lambda: references(admin, path) == count)
    preview = admin.delete(path, params={"dry_run": "true"}).json()
    assert preview["counts"] == {"subscriptions": count, "topics": 1}
    with killed_ingest(gateway) as url, httpx.Client(timeout=60, headers=dict(admin.headers)) as doomed:
        caller = threading.Thread(target=delete_until_cut, args=(doomed, url + path))
        caller.start()
        wait_until(lambda: references(admin, path) < count)
    caller.join()
    left = references(admin, path)
    assert not left or admin.get(path).status_code == 200  # the children go first
    assert admin.delete(path).status_code in ({204} if left else {204, 404})
    assert references(admin, path) == 0
    assert admin.get(path).status_code == 404


def references(admin: httpx.Client, path: str) -> int:
    answer = admin.get(f"{path}/references").json()
    return int(answer["counts"]["subscriptions"]) if "counts" in answer else 0


def delete_until_cut(client: httpx.Client, url: str) -> None:
    with suppress(httpx.TransportError):
        client.delete(url)


@contextmanager
def killed_ingest(gateway: Gateway) -> Iterator[str]:
    """Runs another ingest in a process, and kills it with -9."""
    port = free_port()
    variables = {
        "HOOKLOG_KAFKA_BOOTSTRAP": gateway.settings.kafka_bootstrap,
        "HOOKLOG_KAFKA_PREFIX": gateway.settings.kafka_prefix,
        "HOOKLOG_DATA_DIR": str(gateway.settings.data_dir),
        "HOOKLOG_ENCRYPTION_KEYS": KEYS,
        "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
        "HOOKLOG_INGEST_PORT": str(port),
    }
    program = "from ingest.app import run; from runtime.settings import Settings; run(Settings())"
    child = subprocess.Popen([sys.executable, "-c", program], env=os.environ | variables, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/ready", 200))
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()


async def subscribe(gateway: Gateway, count: int) -> None:
    """Produces subscriptions, as any team may."""
    appender = Appender(gateway.settings.bootstrap, StreamNames(gateway.settings.kafka_prefix))
    await appender.start()
    value = b'{"topic_id":"crowded","target_url":"http://127.0.0.1:9/hook"}'
    await appender.append_all(
        [Outgoing(INTAKE["subscriptions"], value, f"crowd-{number}".encode()) for number in range(count)]
    )
    await appender.stop()
