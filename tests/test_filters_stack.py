"""Filters, transforms and formats through the gateway as an operator runs it."""

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.oracle.kafka_reader import read_stream
from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Sender
from tests.oracle.sink import Entry
from tests.oracle.stack import HOOKLOG, Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

PUSH = b'{"ref":"refs/heads/main",  "n":1.0, "repository":{"full_name":"octo/repo"}}'


async def arrived(receiver: Receiver, path: str) -> Entry:
    """The first request at a path."""

    async def some() -> list[Entry]:
        return await receiver.at(path)

    entries: list[Entry] = await until(f"a request at {path}", some)
    return entries[0]


async def ended(stack: Stack, event_id: str) -> dict[str, Any]:
    """The story of an event when all its deliveries have ended."""

    async def story() -> dict[str, Any] | None:
        answer = await stack.call("GET", f"/api/v1/logs/events/{event_id}", port=stack.ports["projections"])
        found: dict[str, Any] = answer.json() if answer.status == 200 else {}
        dispatch, deliveries = found.get("dispatch"), found.get("deliveries", [])
        complete = dispatch and len(deliveries) == dispatch["matched"]
        return found if complete and all(one["completed_at"] for one in deliveries) else None

    told: dict[str, Any] = await until("the end of an event", story)
    return told


async def hooklog(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    process = await asyncio.create_subprocess_exec(
        HOOKLOG,
        *arguments,
        env=stack.environment(),
        cwd=stack.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_push_goes_where_the_filter_is_true_and_every_other_subscription_is_explained(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    main = await team.subscribe(topic, receiver.url("/ok/filter-main"), filter="branch == 'main'")
    other = await team.subscribe(topic, receiver.url("/ok/filter-other"), filter="branch == 'other'")
    failing = await team.subscribe(topic, receiver.url("/ok/filter-failing"), filter="event.total > 100")
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    entry = await arrived(receiver, "/ok/filter-main")
    assert body_of(entry) == PUSH

    story = await ended(stack, sent.event_id)
    dispatch = story["dispatch"]
    assert (dispatch["matched"], dispatch["skipped"]) == (1, {"filter": 1, "filter_error": 1})
    assert dispatch["skips"] == [
        {"subscription_id": failing["id"], "reason": "filter_error", "detail": 'Key not found in map : "total"'},
        {"subscription_id": other["id"], "reason": "filter", "detail": ""},
    ]
    assert await receiver.at("/ok/filter-other") == await receiver.at("/ok/filter-failing") == []

    path = f"/api/v1/logs/events/{sent.event_id}/explain?subscription="
    said = {sub["id"]: await stack.query(path + sub["id"]) for sub in (main, other, failing)}
    assert [said[sub["id"]]["reason"] for sub in (main, other, failing)] == ["", "filter", "filter_error"]
    assert said[main["id"]]["matched"]
    assert said[other["id"]]["saw"]["branch"] == "main"
    assert said[other["id"]]["saw"]["headers"]["x-github-event"] == "push"
    assert said[failing["id"]]["detail"] == 'Key not found in map : "total"'
    answer = await stack.call("GET", f"{path}nobody", port=stack.ports["projections"])
    assert answer.status == 404

    code, out, _ = await hooklog(stack, "explain", sent.event_id, failing["id"])
    assert code == 1
    assert f"{failing['id']} does not get it: its filter failed: Key not found" in out
    code, out, _ = await hooklog(stack, "explain", sent.event_id, main["id"], "--json")
    assert (code, json.loads(out)["matched"]) == (0, True)


async def test_a_transformed_cloud_event_arrives_with_a_signature_over_what_is_sent(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(
        topic,
        receiver.url("/ok/cloud"),
        transform="{'branch': branch, 'event': headers['x-github-event'], 'n': event.n}",
        format="cloudevents",
    )
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    entry = await arrived(receiver, "/ok/cloud")
    headers = dict(entry.headers)
    Webhook(subscription["secret"]).verify(body_of(entry), headers)
    assert headers["content-type"] == "application/cloudevents+json"
    document = json.loads(body_of(entry))
    assert document["data"] == {"branch": "main", "event": "push", "n": 1.0}
    assert (document["id"], document["type"], document["specversion"]) == (sent.event_id, "push", "1.0")
    story = await ended(stack, sent.event_id)
    assert story["event"]["payload"] == PUSH.decode()  # the log keeps what came


async def test_a_transform_that_fails_makes_a_dead_letter_that_can_be_sent_again_once_it_is_mended(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, receiver.url("/ok/mended"), transform="{'a': event.nothing}")
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    story = await ended(stack, sent.event_id)
    (delivery,) = story["deliveries"]
    (outcome,) = delivery["attempts"]
    assert (delivery["status"], delivery["reason"], delivery["attempts_made"]) == ("FAILED", "transform_failed", 0)
    assert (outcome["kind"], outcome["error"]) == ("outcome", 'Key not found in map : "nothing"')
    assert await receiver.at("/ok/mended") == []
    dead = await read_stream(stack.bootstrap, "hooklog.dead")
    (letter,) = [record for record in dead if record.header("ce_id") == sent.event_id]
    assert (letter.value, letter.header("hl-reason")) == (PUSH, "transform_failed")

    mended = {"transform": "{'a': event.n, 'by': headers['x-github-event']}"}
    await stack.admin("PATCH", f"/api/v1/subscriptions/{subscription['id']}", mended)

    async def again() -> bool:
        # The retry reads the subscription where projections keep it, which may be a moment behind.
        found = await stack.query(f"/api/v1/logs/events/{sent.event_id}/explain?subscription={subscription['id']}")
        return bool(found["version"] > subscription["version"])

    await until("the mended transform", again)
    path = f"/api/v1/deliveries/{delivery['delivery_id']}/retry"
    await stack.admin("POST", path, port=stack.ports["projections"])
    entry = await arrived(receiver, "/ok/mended")
    assert json.loads(body_of(entry)) == {"a": 1.0, "by": "push"}
    assert dict(entry.headers)["content-type"] == "application/json"


async def test_a_filter_that_cannot_work_is_refused_with_its_place(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    good = await team.subscribe(topic, receiver.url("/ok/refused"), filter="branch == 'main'")
    path = f"/api/v1/subscriptions/{good['id']}"
    whole = {"topic_id": topic, "target_url": good["target_url"], "filter": "branch == 1"}
    for method, where, document in (
        ("POST", "/api/v1/subscriptions", whole),
        ("PUT", path, whole),
        ("PATCH", path, {"filter": "branch == 1"}),
        ("POST", f"{path}/check", whole),
    ):
        answer = await stack.call(method, where, document)
        assert answer.status == 422, (method, where)
        (error,) = answer.json()["errors"]
        assert error["field"] == "filter"
        assert error["message"].startswith("line 1, column 8: found no matching overload")
    assert (await stack.admin("GET", path))["filter"] == "branch == 'main'"

    arguments = ("subscriptions", "apply", good["id"], "--topic", topic, "--url", good["target_url"])
    code, _, err = await hooklog(stack, *arguments, "--filter", "branch ==")
    assert code != 0
    assert "filter: line 1, column 10: Syntax error" in err
    code, out, err = await hooklog(
        stack, *arguments, "--filter", "branch == 'dev'", "--transform", "event", "--format", "envelope", "--json"
    )
    assert code == 0, err
    read = await stack.admin("GET", path)
    assert (read["filter"], read["transform"], read["format"]) == ("branch == 'dev'", "event", "envelope"), out
