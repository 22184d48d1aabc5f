"""The last good version outlives the compaction of everything that can be compacted, and a restart on what is left."""

import json
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.oracle.kafka_reader import Rec, produce, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

TABLE = "hooklog.tables.subscriptions"
INTAKE = "hooklog.config.subscriptions"
COMPACTED_S = 90  # the cleaner looks every 15 s

EAGER = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "0",
    "max.compaction.lag.ms": "1000",
}
"""Compacts at once, tombstones too. Written as a whole: this call resets what it does not name."""


async def compact_eagerly(stack: Stack) -> None:
    """Makes the broker compact the table as soon as it can."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TABLE, configs=EAGER)])
    await admin.close()


async def test_the_last_good_version_outlives_compaction_and_a_restart(tmp_path: Path) -> None:
    stack = Stack(tmp_path, session_timeout_s=10)
    try:
        with Receiver() as receiver:
            await stack.up()
            await compact_eagerly(stack)
            topic = await prepare(stack, receiver)
            await until("compaction", lambda: compacted(stack), within_s=COMPACTED_S, every_s=1)
            await stack.down()
            await stack.up()
            sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", b"{}")

            async def arrived() -> bool:
                return sent.event_id in {entry.webhook_id for entry in await receiver.at("/ok/version-9")}

            await until("the event at the last good URL", arrived)
            assert {entry.path for entry in await receiver.books()} == {"/ok/version-9"}
    except BaseException as error:
        error.add_note(stack.tails())
        raise
    finally:
        await stack.down()


async def prepare(stack: Stack, receiver: Receiver) -> str:
    """Writes many versions of one subscription, the last of them refused, and deletes another one; the topic."""
    team = Team(stack)
    topic = await team.github_topic()
    kept = await team.subscribe(topic, receiver.url("/ok/version-0"))
    deleted = await team.subscribe(topic, receiver.url("/ok/deleted"))
    path = f"/api/v1/subscriptions/{kept['id']}"
    for version in range(1, 10):
        changed = {"topic_id": topic, "target_url": receiver.url(f"/ok/version-{version}")}
        await stack.admin("PUT", path, changed)
    await stack.admin("DELETE", f"/api/v1/subscriptions/{deleted['id']}")
    for bad in (b"{{{", json.dumps({"topic_id": topic, "target_url": "http://10.0.0.1/"}).encode()):
        await produce(stack.bootstrap, INTAKE, kept["id"].encode(), bad)
    return topic


async def compacted(stack: Stack) -> list[Rec]:
    """The table's records, once no id stands in them twice but in the segment that is being written."""
    # Each round is one more segment, so that the ones before can be cleaned.
    await stack.admin("PUT", "/api/v1/subscriptions/filler", {"topic_id": "none", "target_url": "http://example.com/"})
    records = await read_stream(stack.bootstrap, TABLE)
    of_test = [record.key for record in records if record.key != b"filler"]
    return records if len(of_test) == len(set(of_test)) == 1 else []
