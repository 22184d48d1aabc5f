"""Rate limits, breakers and floods, through the gateway as an operator runs it."""

import asyncio
import re
import time

import pytest

from rules.parking import FASTEST_WHILE_OPEN
from tests.flood_fixture import flood
from tests.oracle.http import get
from tests.oracle.kafka_reader import read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.sink import Entry
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.test_spine import arrived, rows

pytestmark = pytest.mark.stack

JITTER_S = 0.3
"""A receiver that is busy reads late what came in time, and then the next ones on time."""


async def send(stack: Stack, topic: str, count: int) -> None:
    """Events that were accepted, forty at a time."""
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    for first in range(0, count, 40):
        await asyncio.gather(*(sender.send_one("push", b'{"n":%d}' % n) for n in range(first, min(first + 40, count))))


def most_above(entries: list[Entry], per_second: float, burst: int) -> float:
    """By how many requests any window was above its burst and its share, the receiver's jitter granted."""
    times = sorted(entry.at for entry in entries)
    return max(
        last - first + 1 - burst - per_second * (times[last] - times[first] + JITTER_S)
        for first in range(len(times))
        for last in range(first, len(times))
    )


async def test_a_rate_limit_is_never_exceeded_and_everything_arrives_once(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    limit = {"per_second": 20, "burst": 10}
    subscription = await team.subscribe(topic, receiver.url("/ok/limited"), rate_limit=limit)
    await send(stack, topic, 200)
    entries = await arrived(receiver, "/ok/limited", 200, within_s=60)
    assert most_above(entries, 20, 10) <= 0
    assert len(entries) == len({entry.webhook_id for entry in entries}) == 200
    await rows(stack, "deliveries", 200, subscription_id=subscription["id"], status="SUCCESS", attempts=1)
    waits = await stack.sql(
        f"SELECT event_id, reason, attempt FROM attempts FINAL WHERE kind = 'parked' AND topic_id = '{topic}'"  # noqa: S608 - ours
    )
    assert {(wait["reason"], wait["attempt"]) for wait in waits} == {("rate_limited", 1)}
    told = await stack.run("events", waits[0]["event_id"])
    assert "set aside: rate_limited, until" in told


async def test_a_dead_endpoint_gets_few_requests_while_others_flow_and_everything_when_it_is_back(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    dead = await team.subscribe(topic, receiver.url("/outage/dead"), retry={"base_delay_s": 1, "max_retries": 50})
    await team.subscribe(topic, receiver.url("/ok/beside"))
    await send(stack, topic, 20)
    await arrived(receiver, "/outage/dead", 5)
    await until("an open breaker", lambda: told(stack, "breaker.opened", dead["id"]))
    metrics = (await get(stack.ports["processors"], "/metrics")).body.decode()
    assert re.search(r"\nhooklog_breakers_open [1-9]", metrics)  # others' may be as well

    before = len(await receiver.at("/outage/dead"))
    await send(stack, topic, 300)
    await arrived(receiver, "/ok/beside", 320)
    during = len(await receiver.at("/outage/dead")) - before
    assert during <= 40  # those that were on their way, and a probe now and then

    await get(receiver.port, "/mend/dead")
    await rows_within(stack, 320, subscription_id=dead["id"], status="SUCCESS")
    entries = [entry for entry in await receiver.at("/outage/dead") if entry.answered == 200]
    assert len({entry.webhook_id for entry in entries}) == 320
    await until("a closed breaker", lambda: told(stack, "breaker.closed", dead["id"]))


async def told(stack: Stack, kind: str, subscription_id: str) -> bool:
    """Whether an operation says so."""
    operations = await read_stream(stack.bootstrap, "hooklog.operations")
    return any(kind.encode() in (item.value or b"") for item in operations if item.key == subscription_id.encode())


async def rows_within(stack: Stack, count: int, **wanted: str) -> None:
    """Returns when there are so many deliveries of that kind."""
    conditions = " AND ".join(f"{column} = {value!r}" for column, value in wanted.items())

    async def enough() -> bool:
        (row,) = await stack.sql(f"SELECT count() AS n FROM deliveries FINAL WHERE {conditions}")  # noqa: S608 - ours
        return int(row["n"]) == count

    await until(f"{count} deliveries with {conditions}", enough, within_s=150)


async def test_an_endpoint_that_only_fails_ends_its_subscription_though_its_worker_is_killed_meanwhile(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic, patience_s = await team.github_topic(), 20
    subscription = await team.subscribe(
        topic,
        receiver.url("/dead/for-days"),
        retry={"base_delay_s": 1, "factor": 1, "max_retries": 50},
        disable_after_days=patience_s / 86_400,
    )
    await send(stack, topic, 3)
    first = (await arrived(receiver, "/dead/for-days", 12))[0]

    async def remembered() -> bool:
        health = await read_stream(stack.bootstrap, "hooklog.tables.health")
        return any((record.key or b"").decode() == subscription["id"] and record.value for record in health)

    await until("a record of the failures", remembered)
    killed_at = time.time()
    await stack.kill9("processors")

    async def inactive() -> bool:
        shown = await stack.admin("GET", f"/api/v1/subscriptions/{subscription['id']}")
        return shown["is_active"] is False

    await until("an inactive subscription", inactive, within_s=150)
    (change,) = await rows(stack, "config_changes", 1, id=subscription["id"], actor="hooklog")
    intake = await read_stream(stack.bootstrap, "hooklog.config.subscriptions")
    (end,) = [item for item in intake if item.offset == int(change["intake_offset"])]
    said = re.fullmatch(r"failing for (\d+) s", change["reason"])
    assert said, change["reason"]
    assert int(said[1]) >= patience_s
    since = end.at_ms / 1_000 - int(said[1])
    assert first.at - 2 < since < killed_at  # the new worker knew
    await rows_within(stack, 3, subscription_id=subscription["id"], status="CANCELLED", reason="subscription_inactive")


async def test_a_flood_for_a_dead_endpoint_waits_without_going_round_and_holds_up_nobodys_retry(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    count, retried = 20_000, 20
    topic, other = await team.github_topic(), await team.github_topic()
    dead = await team.subscribe(topic, receiver.url("/outage/flooded"), disable_after_days=0)
    fails_once = receiver.url("/fail/1/beside-flood")
    beside = await team.subscribe(other, fails_once, retry={"delays_s": [1]}, circuit_breaker=False)
    began = time.monotonic()
    await flood(stack.bootstrap, dead, count)
    await send(stack, other, retried)
    await rows_within(stack, retried, subscription_id=beside["id"], status="SUCCESS", attempts="2")
    assert len(await receiver.at("/outage/flooded")) <= 40  # what was in flight, and a probe now and then

    await until("a parked flood", lambda: parked(stack, dead["id"], count), within_s=150)
    await send(stack, other, retried)  # while all of it waits
    await rows_within(stack, 2 * retried, subscription_id=beside["id"], status="SUCCESS", attempts="2")
    (row,) = await stack.sql(f"SELECT count() AS n FROM attempts FINAL WHERE {parkings_of(dead['id'])}")  # noqa: S608 - ours
    assert int(row["n"]) <= count + FASTEST_WHILE_OPEN * (time.monotonic() - began)
    await stack.admin("DELETE", f"/api/v1/subscriptions/{dead['id']}")


def parkings_of(subscription_id: str) -> str:
    """The condition of a subscription's parkings."""
    return f"kind = 'parked' AND subscription_id = '{subscription_id}'"


async def parked(stack: Stack, subscription_id: str, count: int) -> bool:
    """Whether so many deliveries were put aside, but for those that were tried."""
    where = parkings_of(subscription_id)
    (row,) = await stack.sql(f"SELECT uniqExact(delivery_id) AS n FROM attempts FINAL WHERE {where}")  # noqa: S608 - ours
    return int(row["n"]) >= count - 40
