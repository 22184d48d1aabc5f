"""Events can be delivered again in bulk: at a pace, once each, to whoever wants them, whatever is killed meanwhile."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

TYPES = ("push", "ping", "issues")


@pytest.fixture(scope="module")
def sink() -> Iterator[Receiver]:
    """A receiver of its own: thousands of requests would slow down who else reads the session's books."""
    with Receiver() as running:
        yield running


async def ask(stack: Stack, **fields: Any) -> dict[str, Any]:
    """The answer to a request for a replay."""
    document: dict[str, Any] = await stack.admin("POST", "/api/v1/replays", fields, stack.ports["projections"])
    return document


async def refused(stack: Stack, **fields: Any) -> list[str]:
    """The fields that a 422 names."""
    answer = await stack.call("POST", "/api/v1/replays", fields, stack.ports["projections"])
    assert answer.status == 422, answer.body
    return [error["field"] for error in answer.json()["errors"]]


async def ended(stack: Stack, replay_id: str, within_s: float = 120) -> dict[str, Any]:
    """The replay, when it has ended."""

    async def look() -> dict[str, Any] | None:
        document: dict[str, Any] = await stack.query(f"/api/v1/replays/{replay_id}")
        return document if document["state"] in {"DONE", "CANCELLED"} else None

    document: dict[str, Any] = await until(f"the end of {replay_id}", look, within_s)
    assert document["total"] >= document["sent"] + sum(document["skipped"].values())
    return document


async def sent_events(stack: Stack, topic: str, count: int, per_second: float = 1_000) -> list[str]:
    """Ids of events of all types in turn, when the read side has dispatched them all."""
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    await sender.send_many(Load(count, TYPES, per_second))
    await rows_of(stack, f"SELECT 1 FROM dispatches FINAL WHERE topic_id = '{topic}'", count)  # noqa: S608 - ours
    return [sent.event_id for sent in sender.books]


async def rows_of(stack: Stack, statement: str, count: int, within_s: float = 90) -> list[dict[str, Any]]:
    """The rows of a statement, when there are so many."""

    async def enough() -> list[dict[str, Any]] | None:
        found = await stack.sql(statement)
        return found if len(found) == count else None

    found: list[dict[str, Any]] = await until(f"{count} rows: {statement}", enough, within_s)
    return found


async def test_a_bulk_replay_to_a_new_subscription_survives_a_kill_and_sends_each_event_once(
    stack: Stack, team: Team, sink: Receiver
) -> None:
    topic = await team.github_topic()
    events = await sent_events(stack, topic, 2_000)
    subscription = await team.subscribe(topic, sink.url("/ok/new"))
    asked = await ask(stack, topic_id=topic, to=subscription["id"], rate_per_s=400)
    assert (asked["total"], asked["asked"]["mode"], asked["state"]) == (2_000, "missing", "PENDING")

    async def under_way() -> bool:
        return await sink.count() >= 400

    await until("400 requests", under_way, 60)
    await stack.kill9("processors")
    assert await sink.count() < 2_000  # it was in the middle
    done = await ended(stack, asked["replay_id"])
    assert (done["state"], done["sent"], done["skipped"], done["progress"]) == ("DONE", 2_000, {}, 1.0)
    made = f"FROM deliveries FINAL WHERE replay_id = '{asked['replay_id']}'"
    await rows_of(stack, f"SELECT 1 {made} AND status = 'SUCCESS'", 2_000)
    assert await stack.sql(f"SELECT count() AS n, uniqExact(event_id) AS ids {made}") == [{"n": 2_000, "ids": 2_000}]
    times = Counter(entry.webhook_id for entry in await sink.at("/ok/new"))
    assert set(times) == set(events)
    assert times.total() - len(times) <= 20  # what its lane had in flight
    again = await ask(stack, topic_id=topic, to=subscription["id"], dry_run=True)
    assert (again["mode"], again["total"], again["subscriptions"], again["first"]) == ("missing", 0, {}, None)
    await stack.ready("processors")


async def test_what_failed_is_sent_again_once_with_a_new_id_when_asked(
    stack: Stack, team: Team, sink: Receiver
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, sink.url("/dead/f"), retry={"delays_s": []})
    name = subscription["id"]
    events = await sent_events(stack, topic, 6)
    await rows_of(stack, f"SELECT 1 FROM deliveries FINAL WHERE subscription_id = '{name}' AND status = 'FAILED'", 6)  # noqa: S608 - ours
    await stack.admin("PATCH", f"/api/v1/subscriptions/{name}", {"target_url": sink.url("/ok/f")})
    chosen = ("--subscription", name, "--type", "pu*", "--type", "ping", "--status", "failed")
    counted = json.loads(await stack.run("replay", *chosen, "--dry-run", "--json"))
    assert (counted["mode"], counted["total"], counted["subscriptions"]) == ("failed", 4, {name: 4})
    assert (counted["events"], counted["from_tables"], counted["unavailable"]) == (4, 0, {})
    assert counted["first"] <= counted["last"]
    done = json.loads(await stack.run("replay", *chosen, "--new-id", "--follow", "--yes", "--json"))
    assert (done["state"], done["total"], done["sent"]) == ("DONE", 4, 4)

    async def arrived() -> bool:
        return len(await sink.at("/ok/f")) == 4

    await until("4 requests", arrived)
    entries = await sink.at("/ok/f")
    assert len({entry.webhook_id for entry in entries} - set(events)) == 4
    made = f"SELECT 1 FROM deliveries FINAL WHERE replay_id = '{done['replay_id']}'"  # noqa: S608 - ours
    await rows_of(stack, f"{made} AND status = 'SUCCESS'", 4)
    left = json.loads(await stack.run("replay", "--subscription", name, "--follow", "--yes", "--json"))
    assert (left["total"], left["sent"]) == (2, 2)
    assert "100%" in await stack.run("replays", left["replay_id"])


async def test_a_slow_replay_can_be_cancelled_and_delays_no_other(stack: Stack, team: Team, sink: Receiver) -> None:
    topic = await team.github_topic()
    await sent_events(stack, topic, 30)
    slow, fast = [(await team.subscribe(topic, sink.url(f"/ok/{name}")))["id"] for name in ("slow", "fast")]
    first = await ask(stack, topic_id=topic, to=slow, rate_per_s=1)
    second = await ask(stack, topic_id=topic, to=fast, rate_per_s=1_000)
    assert (await ended(stack, second["replay_id"]))["sent"] == 30
    path = f"/api/v1/replays/{first['replay_id']}"
    assert (await stack.query(path))["state"] in {"PENDING", "RUNNING"}
    await stack.admin("POST", f"{path}/cancel", {}, stack.ports["projections"])
    cancelled = await ended(stack, first["replay_id"])
    assert cancelled["state"] == "CANCELLED"
    assert cancelled["sent"] < 30
    answer = await stack.call("POST", f"{path}/cancel", {}, stack.ports["projections"])
    assert (answer.status, answer.json()["code"]) == (409, "replay_ended")
    listed = await stack.query("/api/v1/replays?state=CANCELLED")
    assert first["replay_id"] in [row["replay_id"] for row in listed["data"]]
    made = f"SELECT 1 FROM deliveries FINAL WHERE replay_id = '{first['replay_id']}'"  # noqa: S608 - ours
    await rows_of(stack, made, cancelled["sent"])


async def test_what_a_subscription_does_not_want_is_skipped_with_the_reason(
    stack: Stack, team: Team, sink: Receiver
) -> None:
    topic, other = await team.github_topic(), await team.github_topic()
    events = await sent_events(stack, topic, 3)
    choosy = (await team.subscribe(topic, sink.url("/ok/choosy"), event_types=["ping"]))["id"]
    stranger = (await team.subscribe(other, sink.url("/ok/stranger")))["id"]
    by_reason = {}
    for name in (choosy, stranger):
        asked = await ask(stack, event_ids=events, to=name)
        done = await ended(stack, asked["replay_id"])
        by_reason[name] = (done["asked"]["mode"], done["sent"], done["skipped"])
    assert by_reason == {choosy: ("all", 1, {"event_type": 2}), stranger: ("all", 0, {"topic": 3})}
    deleted = (await team.subscribe(topic, sink.url("/ok/deleted")))["id"]
    first, second = await asyncio.gather(*(ask(stack, event_ids=events[:1], to=deleted) for _ in range(2)))
    assert {(await ended(stack, one["replay_id"]))["sent"] for one in (first, second)} == {1}
    await rows_of(stack, f"SELECT 1 FROM deliveries FINAL WHERE subscription_id = '{deleted}'", 2)  # noqa: S608 - ours
    await stack.admin("DELETE", f"/api/v1/subscriptions/{deleted}")
    asked = await ask(stack, subscription_id=deleted, mode="all")
    assert (await ended(stack, asked["replay_id"]))["skipped"] == {"subscription_deleted": 1}


async def test_a_request_that_makes_no_sense_is_refused_by_its_field(stack: Stack) -> None:
    stack_wide: dict[str, list[str]] = {
        "rate": await refused(stack, since="-1h", rate_per_s=0),
        "nothing": await refused(stack),
        "unknown": await refused(stack, since="-1h", colour="red"),
        "mode": await refused(stack, since="-1h", mode="missing"),
        "status": await refused(stack, since="-1h", mode="all", status=["FAILED"]),
        "time": await refused(stack, since="yesterday"),
        "span": await refused(stack, since="-91d"),
        "where": await refused(stack, since="-1h", where="branch == 1"),
        "to": await refused(stack, since="-1h", to="nobody-at-all"),
    }
    assert stack_wide == {
        "rate": ["body.rate_per_s"],
        "nothing": ["body.event_ids"],
        "unknown": ["body.colour"],
        "mode": ["body.to"],
        "status": ["body.status"],
        "time": ["body.since"],
        "span": ["body.since"],
        "where": ["body.where"],
        "to": ["body.to"],
    }
    for method, path in (("GET", "/api/v1/replays/none"), ("POST", "/api/v1/replays/none/cancel")):
        assert (await stack.call(method, path, None, stack.ports["projections"])).status == 404
