"""Retry policies, `Retry-After` and 410 Gone, through the gateway as an operator runs it."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from tests.oracle.kafka_reader import read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.test_spine import arrived, rows

pytestmark = pytest.mark.stack


async def send(stack: Stack, topic: str, count: int = 1) -> list[str]:
    """The ids of events that were sent and accepted."""
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    return [str((await sender.send_one("push", b'{"n":%d}' % number)).event_id) for number in range(count)]


async def gaps_s(receiver: Receiver, path: str, count: int) -> list[float]:
    """The seconds between the requests at a path."""
    return [later.at - earlier.at for earlier, later in pairwise(await arrived(receiver, path, count))]


async def test_an_endpoint_is_left_alone_as_long_as_it_asks_for_and_no_shorter_than_its_policy_says(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    floors_s = {"/busy/503/3/f": 3, "/until/429/3/f": 3, "/until/302/3/f": 3, "/busy/429/0/f": 1, "/busy/500/-9/f": 1}
    for path in floors_s:
        await team.subscribe(topic, receiver.url(path), retry={"delays_s": [1]})
    (event_id,) = await send(stack, topic)
    waited_s = {path: (await gaps_s(receiver, path, 2))[0] for path in floors_s}
    assert {path: gap_s for path, gap_s in waited_s.items() if gap_s < floors_s[path]} == {}
    await rows(stack, "deliveries", len(floors_s), event_id=event_id, status="SUCCESS", attempts=2)


async def test_exponential_delays_double(stack: Stack, receiver: Receiver, team: Team) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/dead/doubling"), retry={"base_delay_s": 1, "max_retries": 2})
    (event_id,) = await send(stack, topic)
    first, second = await gaps_s(receiver, "/dead/doubling", 3)
    assert first >= 1
    assert second >= 2
    await rows(stack, "deliveries", 1, event_id=event_id, status="FAILED", attempts=3, reason="http_500")


@pytest.mark.parametrize(
    ("retry", "attempts"), [({"max_retries": 0}, 1), ({"max_retries": 1}, 2), ({"delays_s": []}, 1)]
)
async def test_a_policy_that_says_little_is_the_default_cut_short(
    stack: Stack, receiver: Receiver, team: Team, retry: dict[str, Any], attempts: int
) -> None:
    topic = await team.github_topic()
    path = f"/dead/{team.name('short')}"
    await team.subscribe(topic, receiver.url(path), retry=retry)
    (event_id,) = await send(stack, topic)
    (row,) = await rows(stack, "deliveries", 1, event_id=event_id, status="FAILED")
    assert (row["attempts"], row["reason"]) == (attempts, "http_500")
    gaps = await gaps_s(receiver, path, attempts)
    assert len(gaps) == attempts - 1
    assert all(gap_s >= 5 for gap_s in gaps)


async def test_a_delivery_that_would_be_too_old_for_its_next_attempt_is_dead_at_once(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    policy = {"delays_s": [1, 3_600], "max_age_s": 1_800}
    await team.subscribe(topic, receiver.url("/dead/old"), retry=policy)
    (event_id,) = await send(stack, topic)
    (row,) = await rows(stack, "deliveries", 1, event_id=event_id, status="FAILED")
    assert (row["attempts"], row["last_status_code"], row["reason"]) == (2, 500, "expired")
    letters = await read_stream(stack.bootstrap, "hooklog.dead")
    assert [letter.header("hl-reason") for letter in letters if letter.header("ce_id") == event_id] == ["expired"]


async def test_a_policy_that_contradicts_itself_is_refused_by_the_name_of_its_field(stack: Stack) -> None:
    document = {"topic_id": "t", "target_url": "https://example.com/", "retry": {"delays_s": [1], "factor": 3}}
    answer = await stack.call("POST", "/api/v1/subscriptions", document)
    assert answer.status == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["retry.factor"]


async def test_an_endpoint_that_is_gone_ends_its_subscription_and_what_waits_for_it(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    path = "/gone-after/1/ends"
    subscription = await team.subscribe(topic, receiver.url(path), retry={"delays_s": [4, 4]})
    (waits,) = await send(stack, topic)
    await rows(stack, "deliveries", 1, event_id=waits, status="RETRYING")
    (gone,) = await send(stack, topic)

    (row,) = await rows(stack, "deliveries", 1, event_id=gone, status="FAILED")
    assert (row["attempts"], row["last_status_code"], row["reason"]) == (1, 410, "http_410")
    (letter,) = [item for item in await read_stream(stack.bootstrap, "hooklog.dead") if item.header("ce_id") == gone]
    assert letter.header("hl-reason") == "http_410"

    async def inactive() -> bool:
        shown = await stack.admin("GET", f"/api/v1/subscriptions/{subscription['id']}")
        return shown["is_active"] is False

    await until("an inactive subscription", inactive)
    (change,) = await rows(stack, "config_changes", 1, id=subscription["id"], actor="hooklog")
    assert (change["result"], change["action"]) == ("applied", "updated")
    assert change["reason"] == "the endpoint answered 410 Gone"
    assert subscription["secret"] not in change["record"]
    intake = await read_stream(stack.bootstrap, "hooklog.config.subscriptions")
    (end,) = [item for item in intake if item.offset == int(change["intake_offset"])]
    attempts = await read_stream(stack.bootstrap, "hooklog.attempts")
    (attempt,) = [item for item in attempts if json.loads(item.value or b"{}")["event_id"] == gone]
    assert letter.at_ms <= end.at_ms <= attempt.at_ms  # a recorded attempt has what follows from it

    (row,) = await rows(stack, "deliveries", 1, event_id=waits, status="CANCELLED")
    assert (row["attempts"], row["reason"]) == (1, "subscription_inactive")
    (later,) = await send(stack, topic)
    (dispatch,) = await rows(stack, "dispatches", 1, event_id=later)
    assert dispatch["matched"] == 0
    assert len(await receiver.at(path)) == 2


async def test_many_that_are_gone_at_once_end_the_subscription_once(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, receiver.url("/gone/flood"))
    await asyncio.gather(*(send(stack, topic) for _ in range(40)))
    (last,) = await send(stack, topic)
    await rows(stack, "dispatches", 1, event_id=last)
    statement = f"SELECT status FROM deliveries FINAL WHERE subscription_id = '{subscription['id']}'"  # noqa: S608 - ours

    async def settled() -> bool:
        return {row["status"] for row in await stack.sql(statement)} <= {"FAILED", "CANCELLED"}

    await until("nothing open", settled)
    changes = await rows(stack, "config_changes", 2, "ORDER BY at", id=subscription["id"])
    assert [(change["result"], change["actor"]) for change in changes] == [("applied", "admin"), ("applied", "hooklog")]
