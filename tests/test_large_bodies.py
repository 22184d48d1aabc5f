"""A large event through the gateway as an operator runs it: stored once, read once, and the same to everybody."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from tests.oracle.http import get
from tests.oracle.kafka_reader import Rec, committed, expire, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.sink import Entry
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

MIB = 1_048_576
FAN_OUT = 100
CARRYING = re.compile(r"hooklog\.(deliveries|retry\..*|park\..*|dead)-\d+")
"""The folders of the streams that deliveries travel through."""


@dataclass
class Run:
    """A gateway, a receiver that keeps sums instead of bodies, and a topic."""

    stack: Stack
    receiver: Receiver
    team: Team
    topic: str

    async def send(self, body: bytes) -> str:
        """Posts an event; its id."""
        sender = Sender([self.stack.ports["ingest"]], self.topic, SECRET)
        sent = await sender.send_one("push", body)
        assert sent.event_id, sent
        return sent.event_id

    async def requests(self, event_id: str, count: int, within_s: float = 60) -> list[Entry]:
        """The requests with an event, when there are `count` of them."""

        async def enough() -> list[Entry]:
            found = [entry for entry in await self.receiver.books() if entry.webhook_id == event_id]
            return found if len(found) >= count else []

        found: list[Entry] = await until(f"{count} requests", enough, within_s, every_s=0.2)
        return found

    async def records(self, stream: str, event_id: str, count: int = 1) -> list[Rec]:
        """The records of a stream with an event, when there are `count` of them."""

        async def enough() -> list[Rec]:
            records = await read_stream(self.stack.bootstrap, f"hooklog.{stream}")
            found = [record for record in records if record.header("ce_id") == event_id]
            return found if len(found) >= count else []

        found: list[Rec] = await until(f"{count} records in {stream}", enough, 60, every_s=0.2)
        return found

    async def delivery(self, event_id: str, status: str) -> dict[str, Any]:
        """The row of an event's delivery, when it has a status."""

        async def there() -> list[dict[str, Any]]:
            statement = f"SELECT * FROM deliveries FINAL WHERE event_id = '{event_id}' AND status = '{status}'"  # noqa: S608
            return await self.stack.sql(statement)

        row: dict[str, Any] = (await until(f"a delivery that is {status}", there, 60))[0]
        return row

    async def figure(self, name: str) -> float:
        """A metric of the worker."""
        text = (await get(self.stack.ports["processors"], "/metrics")).body.decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def carried_bytes(self) -> int:
        """What the streams of deliveries take on the broker's disk."""
        folders = [path for path in (self.stack.folder / "data").rglob("hooklog.*") if CARRYING.fullmatch(path.name)]
        assert folders
        return sum(log.stat().st_size for folder in folders for log in folder.glob("*.log"))

    def peak_bytes(self) -> int:
        """The most memory that the worker has had since `forget_peak`."""
        status = Path(f"/proc/{self.stack.pids()['processors']}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1_024

    def forget_peak(self) -> None:
        """Begins to measure anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.stack.pids()['processors']}/clear_refs").write_text("5")

    async def restart_worker(self) -> None:
        """Kills the worker as a crash would; returns when another one is ready."""
        before = self.stack.pids()["processors"]
        await self.stack.kill9("processors")

        async def another() -> bool:
            return self.stack.pids().get("processors", before) != before

        await until("another worker", another)
        await self.stack.ready("processors")


@pytest.fixture(scope="module")
def large_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("large"), session_timeout_s=10)
    try:
        asyncio.run(stack.up())
        yield stack
    finally:
        asyncio.run(stack.down())


@pytest.fixture(scope="module")
def large_team(large_stack: Stack) -> Team:
    return Team(large_stack)


@pytest.fixture
async def run(large_stack: Stack, large_team: Team) -> AsyncIterator[Run]:
    with Receiver() as receiver:
        yield Run(large_stack, receiver, large_team, await large_team.github_topic())


async def test_a_hundred_subscriptions_get_a_megabyte_that_is_stored_and_read_once(run: Run) -> None:
    for number in range(FAN_OUT):
        await run.team.subscribe(run.topic, run.receiver.url(f"/slow/300/{number}"))
    warm = await run.send(b"{}")
    await run.requests(warm, FAN_OUT)
    carried, reads = run.carried_bytes(), await run.figure("hooklog_bodies_read")
    run.forget_peak()
    before = run.peak_bytes()
    body = os.urandom(MIB)
    event_id = await run.send(body)
    entries = await run.requests(event_id, FAN_OUT)
    assert {entry.path for entry in entries} == {f"/slow/300/{number}" for number in range(FAN_OUT)}
    assert {(entry.sha256, entry.body_bytes) for entry in entries} == {(sha256(body).hexdigest(), MIB)}
    assert await run.figure("hooklog_bodies_read") - reads == 1
    assert run.carried_bytes() - carried < 2 * MIB  # by value it would be 100
    # The body, what 32 connections may hold of it, and what an event takes on its way through dispatch.
    assert run.peak_bytes() - before < 80 * MIB


async def test_a_retry_gets_the_same_bytes_from_another_worker_and_so_does_a_resend(run: Run) -> None:
    await run.team.subscribe(run.topic, run.receiver.url("/fail/1/again"), retry={"delays_s": [4]})
    body = os.urandom(MIB)
    event_id = await run.send(body)
    await run.requests(event_id, 1)
    (waits,) = await run.records("retry.1s", event_id)
    assert waits.value == b""
    await run.restart_worker()
    entries = await run.requests(event_id, 2)
    assert {entry.sha256 for entry in entries} == {sha256(body).hexdigest()}
    assert [dict(entry.headers).get("x-retry-attempt") for entry in entries[-1:]] == ["1"]

    row = await run.delivery(event_id, "SUCCESS")
    path = f"/api/v1/deliveries/{row['delivery_id']}/retry"
    await run.stack.admin("POST", path, {}, run.stack.ports["projections"])
    entries = await run.requests(event_id, len(entries) + 1)
    assert {entry.sha256 for entry in entries} == {sha256(body).hexdigest()}
    first, *_, resent = await run.records("deliveries", event_id, 3)
    same = ("hl-body-ref", "hl-body-bytes", "hl-body-digest")
    assert [resent.header(name) for name in same] == [first.header(name) for name in same]
    assert (resent.value, resent.header("hl-body-bytes")) == (b"", str(MIB))


async def test_a_delivery_whose_event_has_expired_is_a_dead_letter_that_says_so(run: Run) -> None:
    await run.team.subscribe(run.topic, run.receiver.url("/dead/expired"), retry={"delays_s": [4, 4]})
    event_id = await run.send(os.urandom(MIB))
    await run.requests(event_id, 1)
    await run.delivery(event_id, "RETRYING")
    (event,) = await run.records("events", event_id)
    await _expire(run.stack, event)
    await run.restart_worker()  # the one before may still have the body, and would rightly deliver it
    (letter,) = await run.records("dead", event_id)
    assert letter.header("hl-reason") == "body_gone"
    assert letter.header("hl-body-ref") == f"{event.partition}/{event.offset}"
    row = await run.delivery(event_id, "FAILED")
    assert (row["reason"], row["attempts"]) == ("body_gone", 1)
    assert len(await run.requests(event_id, 1)) == 1


async def _expire(stack: Stack, event: Rec) -> None:
    place = TopicPartition("hooklog.events", event.partition)

    async def finished() -> bool:
        return await committed(stack.bootstrap, "hooklog.processors", place) > event.offset

    await until("a commit of its dispatch", finished)  # else it would have expired unread, which is another story
    await expire(stack.bootstrap, place, event.offset + 1)
