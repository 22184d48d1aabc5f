"""Sending, receiving, following, listing and retrying from the command line, against a running gateway."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest

from cli.gateway import Gateway
from cli.traffic.tail import Look
from runtime.settings import Settings
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import HOOKLOG, Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

WHOLE_S = 90
NOBODY = "http://127.0.0.1:9/"
"""The discard port, where nothing listens: every request is refused at once."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output, one JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


async def start(stack: Stack, *arguments: str, given: bytes | None = None) -> asyncio.subprocess.Process:
    """A command that runs against the stack."""
    return await asyncio.create_subprocess_exec(
        HOOKLOG,
        *arguments,
        env=stack.environment(),
        cwd=stack.folder,
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process, given: bytes | None = None) -> Ended:
    """What the command printed, once it has ended."""
    try:
        out, err = await asyncio.wait_for(process.communicate(given), WHOLE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(int(process.returncode or 0), out.decode(), err.decode())


async def run(stack: Stack, *arguments: str, given: bytes | None = None) -> Ended:
    """What a command does."""
    return await end(await start(stack, *arguments, given=given), given)


@asynccontextmanager
async def started(stack: Stack, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that says on standard error that it has begun, and goes on."""
    process = await start(stack, *arguments)
    try:
        assert process.stderr
        line = (await asyncio.wait_for(process.stderr.readline(), WHOLE_S)).decode()
        assert "Ctrl-C" in line, line + (await process.stderr.read()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def stored(stack: Stack, table: str, **wanted: str) -> None:
    """Returns when a table has a row whose columns have these values."""
    conditions = " AND ".join(f"{column} = {value!r}" for column, value in wanted.items())
    statement = f"SELECT 1 FROM {table} FINAL WHERE {conditions}"  # noqa: S608 - values are the test's own
    await until(f"a row: {statement}", lambda: stack.sql(statement))


async def dead_event(stack: Stack, team: Team, **rules: Any) -> tuple[str, str, str]:
    """A topic, a subscription of it, and an event whose only attempt failed."""
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, NOBODY, retry={"delays_s": []}, **rules)
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", b"{}")
    await stored(stack, "deliveries", event_id=sent.event_id, status="FAILED")
    return topic, subscription["id"], sent.event_id


async def test_an_event_that_is_sent_signed_is_accepted_and_its_life_is_told(
    stack: Stack, team: Team, receiver: Receiver
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, receiver.url("/fail/1/send"), retry={"delays_s": [1]})
    sending = ("send", topic, "--type", "push", "--secret", SECRET, "--data", '{"ref": "x"}', "--wait")
    ended = await run(stack, *sending)
    assert ended.code == 0, ended
    for part in ("push", topic, "SUCCESS", subscription["id"], "after 2 attempts", "attempt 1", "500", "attempt 2"):
        assert part in ended.out
    entries = await receiver.at("/fail/1/send")
    assert len(entries) == 2
    told = await run(stack, "events", entries[0].webhook_id, "--json")
    assert told.lines[0]["deliveries"][0]["status"] == "SUCCESS"
    assert (await run(stack, "events", entries[0].webhook_id)).out == ended.out


async def test_an_event_that_is_given_up_ends_with_1(stack: Stack, team: Team) -> None:
    topic = await team.topic(auth_type="none")
    await team.subscribe(topic, NOBODY, retry={"delays_s": []})
    ended = await run(stack, "send", topic, "--wait", "--json")
    assert ended.code == 1
    assert ended.lines[0]["deliveries"][0]["status"] == "FAILED"


async def test_a_refused_event_ends_with_1_and_says_why(stack: Stack, team: Team) -> None:
    topic = await team.github_topic()
    wrong = await run(stack, "send", topic, "--secret", "another")
    assert (wrong.code, wrong.out) == (1, "")
    assert "signature_mismatch" in wrong.err
    unsigned = await run(stack, "send", topic, "--unsigned", "--json")
    assert (unsigned.code, unsigned.lines[0]["code"]) == (1, "signature_missing")
    silent = await run(stack, "send", topic)
    assert silent.code == 2
    assert "HOOKLOG_SOURCE_SECRET" in silent.err
    file = stack.folder / "secret.txt"
    file.write_text(f"{SECRET}\n")
    assert (await run(stack, "send", topic, "--secret-file", str(file))).code == 0
    assert (await run(stack, "send", topic, "--secret-file", "-", "--data", "-")).code == 2
    assert (
        await run(stack, "send", "nobody-knows-it")
    ).err == "hooklog: there is no topic nobody-knows-it; create it first\n"
    assert (await run(stack, "send")).code == 2
    assert (await run(stack, "send", topic, "--wait", "--count", "2")).code == 2


async def test_a_secret_that_cannot_sign_ends_with_2_before_anything_is_sent(stack: Stack, team: Team) -> None:
    topic = await team.topic(auth_type="standard_webhooks", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    ended = await run(stack, "send", topic, "--secret", "whsec_no-key", "--count", "3")
    assert (ended.code, ended.out) == (2, "")
    assert "whsec_no-key" not in ended.err
    assert (await run(stack, "send", topic, "--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).code == 0


async def test_many_events_are_sent_at_a_pace_and_counted(stack: Stack, team: Team, receiver: Receiver) -> None:
    topic = await team.topic(auth_type="hmac", secret=SECRET)
    await team.subscribe(topic, receiver.url("/ok/many"))
    many = ("--count", "50", "--rate", "200", "--concurrency", "5", "--secret", SECRET, "--json")
    ended = await run(stack, "send", topic, "--data", "-", *many, given=b"from a pipe")
    (told,) = ended.lines
    assert (ended.code, told["sent"], told["accepted"], told["refused"]) == (0, 50, 50, {})
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert told["took_s"] >= 49 / 200
    await until("50 deliveries", lambda: _enough(receiver, "/ok/many", 50))
    refused = await run(stack, "send", topic, "--count", "3", "--secret", "another", "--json")
    assert (refused.code, refused.lines[0]["refused"]) == (1, {"signature_mismatch": 3})


async def _enough(receiver: Receiver, path: str, count: int) -> bool:
    return len(await receiver.at(path)) >= count


async def test_sending_to_a_source_posts_to_its_own_url(stack: Stack, team: Team) -> None:
    topic = await team.github_topic()
    source = (await stack.admin("GET", f"/api/v1/topics/{topic}"))["source_id"]
    ended = await run(stack, "send", "--source", source, "--type", "push", "--secret", SECRET, "--json")
    assert ended.code == 0, ended
    assert ended.lines[0]["task_id"] == ended.lines[0]["event_id"]


async def test_a_listener_subscribes_itself_verifies_fails_as_told_and_leaves(stack: Stack, team: Team) -> None:
    topic = await team.github_topic()
    listening = ("--subscribe", topic, "--port", "0", "--fail", "1", "--status", "503", "--count", "2", "--json")
    async with started(stack, "listen", *listening) as listener:
        sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", b'{"type":"push"}')
        ended = await end(listener)
    assert ended.code == 0, ended
    assert [(line["webhook_id"], line["attempt"], line["status"]) for line in ended.lines] == [
        (sent.event_id, 1, 503),
        (sent.event_id, 2, 200),
    ]
    assert {line["signature"] for line in ended.lines} == {"verified"}
    assert {line["event_type"] for line in ended.lines} == {"push"}
    await _no_subscription(stack, topic)


async def test_a_listener_that_is_interrupted_deletes_its_subscription(stack: Stack, team: Team) -> None:
    topic = await team.github_topic()
    async with started(stack, "listen", "--subscribe", topic, "--port", "0") as listener:
        listener.send_signal(signal.SIGINT)
        assert (await end(listener)).code == 0
    await _no_subscription(stack, topic)


async def _no_subscription(stack: Stack, topic: str) -> None:
    page = await stack.admin("GET", "/api/v1/subscriptions?limit=500")
    assert not [record for record in page["data"] if record["topic_id"] == topic]


async def test_a_port_that_is_taken_is_named(stack: Stack, receiver: Receiver) -> None:
    ended = await run(stack, "listen", "--port", str(receiver.port))
    assert ended.code == 1
    assert f"port {receiver.port}" in ended.err


async def test_tail_shows_what_happens_from_now_on_and_nothing_else(stack: Stack, team: Team) -> None:
    topic, subscription, _ = await dead_event(stack, team)
    async with started(stack, "tail", "--topic", topic, "--json", "--count", "3") as tail:
        sender = Sender([stack.ports["ingest"]], topic, SECRET)
        accepted = await sender.send_one("push", b"{}")
        await Sender([stack.ports["ingest"]], topic, "another").send_one("push", b"{}")
        ended = await end(tail)
    whats = {line["what"]: line for line in ended.lines}
    assert set(whats) == {"event", "attempt", "rejection"}
    assert whats["event"]["event_id"] == whats["attempt"]["event_id"] == accepted.event_id
    assert (whats["attempt"]["subscription_id"], whats["attempt"]["status"]) == (subscription, "FAILED")
    assert whats["rejection"]["code"] == "signature_mismatch"


async def test_tail_shows_every_row_once_also_when_there_are_more_than_one_answer_has(
    stack: Stack, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    topic = await team.github_topic()
    look = Look(Gateway(Settings()), topic, page=3)
    look.begin()
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    sent = [(await sender.send_one("push", b"%d" % number)).event_id for number in range(25)]
    rows = await asyncio.wait_for(asyncio.to_thread(lambda: list(islice(look.rows(), 25))), WHOLE_S)
    assert sorted(row["event_id"] for row in rows) == sorted(sent)


async def test_what_happened_is_listed_newest_first_and_filtered(stack: Stack, team: Team) -> None:
    topic, subscription, event_id = await dead_event(stack, team)
    newer = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("issues", b"{}")
    await stored(stack, "deliveries", event_id=newer.event_id, status="FAILED")

    events = await run(stack, "events", "--topic", topic, "--since", "1h", "--json")
    assert [line["event_id"] for line in events.lines] == [newer.event_id, event_id]
    only = await run(stack, "events", "--topic", topic, "--type", "push", "--json")
    assert [line["event_id"] for line in only.lines] == [event_id]
    deliveries = await run(stack, "deliveries", "--status", "failed", "--subscription", subscription, "--json")
    assert {line["event_id"] for line in deliveries.lines} == {event_id, newer.event_id}
    attempts = await run(stack, "attempts", "--event", event_id, "--json")
    assert [(line["attempt"], line["status"]) for line in attempts.lines] == [(1, "FAILED")]
    one = await run(stack, "deliveries", attempts.lines[0]["delivery_id"])
    assert "attempt 1" in one.out
    assert event_id in (await run(stack, "events", "--topic", topic)).out
    assert (await run(stack, "deliveries", "--status", "lost")).code == 2
    assert (await run(stack, "events", "--since", "yesterday")).code == 2
    assert (await run(stack, "events", "nobody-knows-it")).code == 1


async def test_refused_requests_are_listed_with_their_reason(stack: Stack, team: Team) -> None:
    topic = await team.github_topic()
    await run(stack, "send", topic, "--unsigned")
    await stored(stack, "rejections", topic_id=topic)
    listed = await run(stack, "rejections", "--topic", topic, "--json")
    assert [line["code"] for line in listed.lines] == ["signature_missing"]
    assert "signature_missing" in (await run(stack, "rejections", "--topic", topic)).out


async def test_failed_deliveries_are_sent_again_by_id_and_by_filter(
    stack: Stack, team: Team, receiver: Receiver
) -> None:
    topic, subscription, event_id = await dead_event(stack, team)
    chosen = ("--status", "failed", "--subscription", subscription, "--since", "1h")
    would = await run(stack, "retry", *chosen, "--dry-run", "--json")
    (delivery,) = would.lines
    assert delivery["event_id"] == event_id
    unsure = await run(stack, "retry", *chosen)
    assert unsure.code == 2
    assert "--yes" in unsure.err
    fixed = {"topic_id": topic, "target_url": receiver.url("/ok/again")}
    await stack.admin("PUT", f"/api/v1/subscriptions/{subscription}", fixed)

    for again in ((*chosen, "--yes"), (delivery["delivery_id"],)):
        ended = await run(stack, "retry", *again, "--json")
        assert (ended.code, [line["ok"] for line in ended.lines]) == (0, [True]), ended
    await until("both resends", lambda: _enough(receiver, "/ok/again", 2))
    assert {entry.webhook_id for entry in await receiver.at("/ok/again")} == {event_id}

    unknown = await run(stack, "retry", "no-such-delivery")
    assert (unknown.code, unknown.out) == (1, "0 of 1 deliveries are on their way again\n")
    assert (await run(stack, "retry")).code == 2
