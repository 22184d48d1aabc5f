"""A trace goes through: from the sender's request to each attempt, into the tables and the log."""

import json
import secrets
from typing import Any

import pytest

from tests.oracle.http import Connection
from tests.oracle.receiver import Receiver
from tests.oracle.stack import Stack, until
from tests.oracle.team import Team
from tests.test_spine import arrived, rows

pytestmark = pytest.mark.stack


async def test_the_senders_trace_is_in_each_request_the_tables_and_the_log(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.topic(auth_type="none")
    await team.subscribe(topic, receiver.url("/fail/1/traced"), retry={"delays_s": [1]})
    trace = secrets.token_hex(16)
    given = f"00-{trace}-{secrets.token_hex(8)}-01"
    async with Connection(stack.ports["ingest"]) as connection:
        answer = await connection.request("POST", f"/api/v1/ingest/{topic}", b"{}", {"traceparent": given})
    event_id = answer.json()["event_id"]

    entries = await arrived(receiver, "/fail/1/traced", 2)
    assert [dict(entry.headers)["traceparent"] for entry in entries] == [given, given]
    (event,) = await rows(stack, "events", 1, event_id=event_id)
    assert event["traceparent"] == given

    async def told() -> list[tuple[str, Any]]:
        lines = (stack.folder / "up.log").read_text().splitlines()
        found = [json.loads(line.partition("| ")[2]) for line in lines if trace in line]
        steps = [(line["event"], line.get("attempt")) for line in found]
        return steps if len(steps) == 3 else []

    # In any order: each process writes its lines when it has some.
    assert set(await until("three lines", told)) == {("event_accepted", None), ("attempt", 1), ("attempt", 2)}
