"""A busy gateway with retries, a delete, a replay, repetitions and kills adds up to the numbers that Kafka has."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.kafka_reader import Rec, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.oracle.trial import PREFIX

pytestmark = pytest.mark.stack

RANKS = {"PENDING": 1, "RETRYING": 2, "FAILED": 3, "CANCELLED": 3, "SUCCESS": 4}
REST_S = 90.0


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[Stack]:
    stack = Stack(tmp_path, session_timeout_s=6, audit_every_s=2)
    try:
        await stack.up()
        yield stack
    finally:
        await stack.down()


async def reached(sender: Sender, posted: int) -> bool:
    """Whether so many events were posted."""
    return len(sender.books) >= posted


async def test_a_busy_gateway_adds_up_to_what_an_independent_reader_counts(busy: Stack) -> None:
    team = Team(busy)
    with Receiver() as receiver:
        topic = await team.github_topic()
        retry: dict[str, Any] = {"retry": {"delays_s": [1, 1]}, "circuit_breaker": False}
        for name, path in (("ok", "/ok/a"), ("fails-once", "/fail/1/a"), ("dead", "/dead/a")):
            await team.subscribe(topic, receiver.url(path), id=name, **retry)
        waiting: dict[str, Any] = {"retry": {"delays_s": [3600]}}
        await team.subscribe(topic, receiver.url("/dead/b"), id="deleted", circuit_breaker=False, **waiting)
        sender = Sender([busy.ports["ingest"]], topic, SECRET)
        sending = asyncio.create_task(sender.send_many(Load(120, ["order.created"], per_second=20, repeated=5)))
        for name, posted in (("processors", 30), ("projections", 60)):
            await until(f"{posted} events", lambda posted=posted: reached(sender, posted))
            await busy.kill9(name)
        await sending
        await busy.ready("processors", "projections")
        await busy.admin("DELETE", "/api/v1/subscriptions/deleted")
        made = "SELECT count() AS n FROM deliveries FINAL WHERE subscription_id = 'ok'"
        await until("120 deliveries", lambda: holds(busy, made, 120))
        asked = {"mode": "all", "subscription_id": "ok", "rate_per_s": 1_000}
        await busy.admin("POST", "/api/v1/replays", asked, busy.ports["projections"])
        # What waits for the subscription that was deleted stays so until its hour has come.
        report = await until("rest", lambda: at_rest(busy), within_s=REST_S, every_s=1)
    counted = await count_in_kafka(busy)
    assert {name: report[name] for name in counted} == counted
    assert (report["ok"], report["offenders"]) == (True, [])
    assert counted["accepted"] == counted["dispatched"] >= 144
    assert counted["duplicates"] >= 24
    assert counted["replayed"] >= 120
    assert min(counted["success"], counted["failed"], counted["pending"]) > 0
    await until("the metric", lambda: metric(busy, "hooklog_audit_ok 1.0"))


async def at_rest(stack: Stack) -> dict[str, Any] | None:
    """The audit, as soon as everything has ended that ends soon."""
    text = await stack.run("audit", "--json", "--wait", "10s")
    report: dict[str, Any] = json.loads(text) if text else {"ok": False}
    if not report["ok"] or report["replayed"] < 120:
        return None
    query = "SELECT count() AS n FROM deliveries FINAL WHERE status IN ('PENDING', 'RETRYING')"
    (waiting,) = await stack.sql(f"{query} AND subscription_id != 'deleted'")
    return None if waiting["n"] else report


async def holds(stack: Stack, query: str, number: int) -> bool:
    """Whether a query counts so many."""
    (row,) = await stack.sql(query)
    return bool(row["n"] == number)


async def metric(stack: Stack, line: str) -> bool:
    """Whether the metrics have a line."""
    answer = await stack.call("GET", "/metrics", port=stack.ports["projections"])
    return line in answer.body.decode().splitlines()


async def count_in_kafka(stack: Stack) -> dict[str, int]:
    """The same figures, from the streams alone."""
    events, dispatches, deliveries, attempts = [
        await read_stream(stack.bootstrap, PREFIX + name) for name in ("events", "dispatches", "deliveries", "attempts")
    ]
    last = {told["event_id"]: told for told in map(value_of, dispatches)}
    states = {record.header("hl-delivery-id"): "PENDING" for record in deliveries}
    replayed = {record.header("hl-delivery-id") for record in deliveries if record.header("hl-replay-id")}
    made = 0
    for attempt in map(value_of, attempts):
        made += attempt["kind"] == "attempt"
        if attempt["kind"] in {"attempt", "outcome"}:
            before = states[attempt["delivery_id"]]
            states[attempt["delivery_id"]] = max(before, attempt["status"], key=lambda state: RANKS[state])
    totals = Counter(states.values())
    return {
        "accepted": len(events),
        "dispatched": len(last),
        "duplicates": sum(told["duplicate"] for told in last.values()),
        "matched": sum(told["matched"] for told in last.values()),
        "replayed": len(replayed),
        "success": totals["SUCCESS"],
        "failed": totals["FAILED"],
        "cancelled": totals["CANCELLED"],
        "pending": totals["PENDING"] + totals["RETRYING"],
        "attempts": made,
    }


def value_of(record: Rec) -> dict[str, Any]:
    """A record of JSON."""
    value: dict[str, Any] = json.loads(record.value or b"{}")
    return value
