"""The keys at rest are changed on a running gateway of an operator's, and every secret works on."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack
from tests.oracle.team import SECRET, Team
from tests.test_spine import arrived

pytestmark = pytest.mark.stack

SUBSCRIPTIONS = 30
BODY = b'{"order": 7}'


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A gateway that made its keys for itself."""
    running = Stack(tmp_path, encryption_keys="", partitions=2)
    try:
        asyncio.run(running.up())
        yield running
    finally:
        asyncio.run(running.down())


async def sealed(stack: Stack) -> list[tuple[str, int]]:
    """The id of each key that seals stored secrets, and how many."""
    rows: list[dict[str, Any]] = json.loads(await stack.run("encryption", "status", "--json"))["sealed"]
    return [(row["key"], row["secrets"]) for row in rows]


async def deliver(stack: Stack, receiver: Receiver, topic: str, path: str, secret: str) -> None:
    """An event that is signed for its source arrives, signed for its endpoint, with the credentials of the endpoint."""
    before = len(await receiver.at(path))
    assert (await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", BODY)).event_id
    entry = (await arrived(receiver, path, before + 1))[-1]
    headers = dict(entry.headers)
    assert (body_of(entry), headers["authorization"]) == (BODY, "Bearer of-theirs")
    Webhook(secret).verify(BODY, headers)


async def test_a_key_is_added_everything_sealed_with_it_the_old_one_removed_and_nothing_is_lost(
    own_stack: Stack, receiver: Receiver
) -> None:
    stack, team = own_stack, Team(own_stack)
    topic = await team.github_topic()
    path, credentials = "/ok/rotated", {"Authorization": "Bearer of-theirs"}
    made = await team.subscribe(topic, receiver.url(path), headers=credentials)
    for _ in range(SUBSCRIPTIONS):
        await team.subscribe(topic, receiver.url(path), headers=credentials, is_active=False)
    secrets = 1 + 2 * (SUBSCRIPTIONS + 1)
    keyring = stack.folder / "data" / "keyring"
    old = keyring.read_text().partition(":")[0]
    await deliver(stack, receiver, topic, path, made["secret"])
    assert await sealed(stack) == [(old, secrets)]

    await stack.down()
    assert "key new seals" in await stack.run("encryption", "add-key", "--id", "new")
    await stack.up()
    await deliver(stack, receiver, topic, path, made["secret"])
    await stack.run("encryption", "remove-key", old)  # refused: it still seals
    assert [line.partition(":")[0] for line in keyring.read_text().splitlines()] == ["new", old]
    assert "0 are left" in await stack.run("encryption", "rotate")
    assert await sealed(stack) == [("new", secrets)]
    await deliver(stack, receiver, topic, path, made["secret"])
    assert f"key {old} is removed" in await stack.run("encryption", "remove-key", old)

    await stack.down()
    await stack.up()
    assert [line.partition(":")[0] for line in keyring.read_text().splitlines()] == ["new"]
    await deliver(stack, receiver, topic, path, made["secret"])
    assert await sealed(stack) == [("new", secrets)]
