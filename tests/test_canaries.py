"""Secrets that were given over REST, and credentials that senders sent, are found nowhere afterwards."""

import base64
import secrets
from typing import Any

import pytest

from schemas.streams import ALL_STREAMS
from tests.oracle.http import Connection, get
from tests.oracle.kafka_reader import read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.stack import Stack, until
from tests.oracle.team import Team

pytestmark = pytest.mark.stack


def canary() -> str:
    """A secret that nothing else contains."""
    return f"canary-{secrets.token_hex(12)}"


class Planted:
    """Secrets by what they are, and where they went."""

    def __init__(self, stack: Stack, team: Team) -> None:
        self.stack = stack
        self.team = team
        self.values: list[str] = []

    def new(self) -> str:
        """One more."""
        self.values.append(canary())
        return self.values[-1]

    def found_in(self, text: bytes) -> list[str]:
        """Those that stand in some bytes."""
        return [value for value in self.values if value.encode() in text]

    async def topic(self, auth_type: str, **source: Any) -> str:
        """A topic whose source has two secrets."""
        return await self.team.topic(auth_type=auth_type, secrets=[self.new(), self.new()], **source)

    async def post(self, topic: str, headers: dict[str, str], path: str = "") -> int:
        """The status of a post."""
        async with Connection(self.stack.ports["ingest"]) as connection:
            answer = await connection.request("POST", f"/api/v1/ingest/{topic}{path}", b'{"type":"seen"}', headers)
        assert not self.found_in(answer.body)
        return answer.status


async def plant(planted: Planted, receiver: Receiver) -> None:
    """Gives secrets in every way, and sends credentials, right and wrong ones."""
    token = await planted.topic("token")
    named = await planted.topic("token", auth_config={"header": "X-Door"})
    basic = await planted.topic("basic", auth_config={"username": "u"})
    gitlab = await planted.topic("gitlab")
    twilio = await planted.topic("twilio", auth_config={"url": "https://hooks.example.com"})
    right = planted.values[0]
    assert await planted.post(token, {"Authorization": f"Bearer {right}"}) == 202
    assert await planted.post(named, {"X-Door": planted.values[2]}) == 202
    for topic, headers in (
        (token, {"Authorization": f"Bearer {planted.new()}", "Cookie": f"session={planted.new()}"}),
        (named, {"X-Door": planted.new(), "X-Api-Key": planted.new()}),
        (basic, {"Authorization": "Basic " + base64.b64encode(f"u:{planted.new()}".encode()).decode()}),
        (gitlab, {"X-Gitlab-Token": planted.new()}),
        (twilio, {"X-Twilio-Signature": planted.new()}),
    ):
        assert await planted.post(topic, headers) == 403
    stack = planted.stack
    headers = {"X-Door": planted.new()}  # which the endpoint gets, and nobody else
    subscription = await planted.team.subscribe(
        token, receiver.url("/ok/canary"), secret=planted.new(), headers=headers
    )
    one = f"/api/v1/subscriptions/{subscription['id']}"
    await stack.admin("PATCH", one, {"secret": planted.new()})
    for method, path, document in (
        ("PATCH", one, {"secret": {"wrong": planted.new()}}),
        ("PUT", one, {"secret": planted.new(), "topic_id": 7}),
        ("POST", "/api/v1/sources", {"auth_type": "github", "secret": planted.new(), "nonsense": 1}),
        ("POST", f"{one}/check", {"secret": [planted.new()]}),
    ):
        answer = await stack.call(method, path, document)
        assert answer.status == 422
        assert not planted.found_in(answer.body)
    assert await planted.post(token, {"Authorization": f"Bearer {right}", "webhook-id": "last"}) == 202


async def test_no_planted_secret_is_found_in_a_stream_a_table_a_log_a_metric_or_an_answer(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    planted = Planted(stack, team)
    await plant(planted, receiver)
    await until("the last event in the tables", lambda: stack.sql("SELECT 1 FROM attempts WHERE event_type = 'seen'"))

    for stream in ALL_STREAMS:
        for record in await read_stream(stack.bootstrap, f"hooklog.{stream.name}"):
            whole = b"\n".join([record.key or b"", record.value or b"", *(value for _, value in record.headers)])
            assert not planted.found_in(whole), stream.name
    for row in await stack.sql("SELECT name FROM system.tables WHERE database = 'hooklog'"):
        table = row["name"]
        found = await stack.sql(f"SELECT count() AS n FROM {table} WHERE toString(tuple(*)) LIKE '%canary-%'")  # noqa: S608
        if found[0]["n"]:
            rows = await stack.sql(f"SELECT toString(tuple(*)) AS text FROM {table}")  # noqa: S608 - names are the tables'
            assert not [row["text"] for row in rows if planted.found_in(row["text"].encode())], table
    for log in stack.folder.glob("*.log"):
        assert not planted.found_in(log.read_bytes()), log.name
    for service in ("ingest", "processors", "projections"):
        assert not planted.found_in((await get(stack.ports[service], "/metrics")).body)
    for kind in ("sources", "subscriptions"):
        assert not planted.found_in((await stack.call("GET", f"/api/v1/{kind}?limit=500")).body)
