"""The same id again and again, through the gateway as an operator runs it."""

import asyncio
import json
import shutil

import pytest

from tests.oracle.http import Answer, Connection
from tests.oracle.receiver import Receiver
from tests.oracle.sender import github_headers
from tests.oracle.stack import Stack
from tests.oracle.team import SECRET, Team
from tests.test_spine import arrived, rows

pytestmark = pytest.mark.stack

AT_ONCE = 20


async def post(port: int, topic: str, sender_id: str, number: int = 0) -> Answer:
    """Posts an event as GitHub does."""
    body = json.dumps({"number": number}).encode()
    async with Connection(port) as connection:
        path = f"/api/v1/ingest/{topic}"
        return await connection.request("POST", path, body, github_headers(body, SECRET, "push", sender_id))


async def test_an_id_that_is_posted_twenty_times_at_once_to_two_processes_is_delivered_once(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    await stack.add("ingest-twin", "ingest")
    await stack.ready("ingest-twin")
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/ok/once"))
    ports = [stack.ports["ingest"], stack.ports["ingest-twin"]]

    answers = await asyncio.gather(*(post(ports[number % 2], topic, "delivery-1") for number in range(AT_ONCE)))
    assert [answer.status for answer in answers] == [202] * AT_ONCE
    ids = {answer.json()["event_id"] for answer in answers}
    assert len(ids) == AT_ONCE

    dispatches = await rows(stack, "dispatches", AT_ONCE, topic_id=topic)
    (first,) = [dispatch for dispatch in dispatches if not dispatch["duplicate"]]
    again = [dispatch for dispatch in dispatches if dispatch["duplicate"]]
    assert {dispatch["event_id"] for dispatch in dispatches} == ids
    assert first["matched"] == 1
    assert first["event_offset"] == min(dispatch["event_offset"] for dispatch in dispatches)
    assert {(dispatch["matched"], dispatch["duplicate_of"]) for dispatch in again} == {
        (0, f"{first['event_partition']}/{first['event_offset']}")
    }
    await rows(stack, "events", AT_ONCE, topic_id=topic, dedup_id="delivery-1")
    await rows(stack, "deliveries", 1, topic_id=topic, status="SUCCESS")
    (entry,) = await arrived(receiver, "/ok/once")
    assert entry.webhook_id == first["event_id"]

    story = await stack.query(f"/api/v1/logs/events/{again[0]['event_id']}")
    step = next(step for step in story["timeline"] if step["what"] == "dispatched")
    assert (step["duplicate"], step["duplicate_of"], step["matched"]) == (True, again[0]["duplicate_of"], 0)
    assert [(await post(port, topic, "delivery-1")).json().get("duplicate") for port in ports] == [True, True]
    assert "duplicate" not in (await post(ports[0], topic, "delivery-2")).json()
    await stack.sigterm("ingest-twin")


async def test_an_id_is_remembered_by_a_worker_that_was_killed_and_by_one_whose_files_are_gone(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic, other = await team.github_topic(), await team.github_topic()
    await team.subscribe(topic, receiver.url("/ok/remembered"))
    await team.subscribe(other, receiver.url("/ok/other"))
    port, count = stack.ports["ingest"], 10
    for number in range(count):
        assert (await post(port, topic, f"delivery-{number}")).status == 202
    await rows(stack, "deliveries", count, topic_id=topic, status="SUCCESS")

    for life in (1, 2):
        await stack.kill9("processors")
        if life == 2:
            shutil.rmtree(stack.folder / "data" / "dedup")
        for number in range(count + life):
            assert (await post(port, topic, f"delivery-{number}")).status == 202
        assert (await post(port, other, "delivery-0")).status == 202  # another topic: another event
        await stack.ready("processors")
        posts = sum(count + past for past in range(life + 1))
        dispatches = await rows(stack, "dispatches", posts, topic_id=topic)
        assert sum(not dispatch["duplicate"] for dispatch in dispatches) == count + life
        await rows(stack, "deliveries", count + life, topic_id=topic, status="SUCCESS")

    await rows(stack, "dispatches", 2, topic_id=other)
    await rows(stack, "deliveries", 1, topic_id=other, status="SUCCESS")
    assert len(await receiver.at("/ok/remembered")) == count + 2
