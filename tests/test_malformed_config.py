"""Anything may be produced to the intake streams; nothing of it stops or poisons anything."""

import json
from typing import Any

import pytest

from tests.oracle.kafka_reader import produce, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

GOOD_URL = "https://example.com/hook"


async def outcome_of(stack: Stack, kind: str, offset: int) -> dict[str, Any]:
    """What the config agent made of an intake record."""

    async def told() -> dict[str, Any]:
        for record in await read_stream(stack.bootstrap, "hooklog.config.outcomes"):
            outcome: dict[str, Any] = json.loads(record.value or b"")
            if (outcome["kind"], outcome["intake_offset"]) == (kind, offset):
                return outcome
        return {}

    found: dict[str, Any] = await until(f"an outcome of {kind} {offset}", told, every_s=0.2)
    return found


async def offer(stack: Stack, kind: str, key: bytes | None, value: bytes | None) -> dict[str, Any]:
    """Produces an intake record and waits for its outcome."""
    offset = await produce(stack.bootstrap, f"hooklog.config.{kind}", key, value)
    return await outcome_of(stack, kind, offset)


def document(**fields: Any) -> bytes:
    """A subscription with some fields changed."""
    return json.dumps({"topic_id": "t", "target_url": GOOD_URL} | fields).encode()


REFUSED: dict[str, tuple[str, bytes | None, bytes | None, str]] = {
    "not JSON": ("subscriptions", b"bad", b"{{{", ""),
    "not UTF-8": ("subscriptions", b"bad", b'{"topic_id":"\xff"}', ""),
    "no object": ("subscriptions", b"bad", b"[1]", ""),
    "nothing at all": ("subscriptions", b"bad", b"", ""),
    "nested without end": ("subscriptions", b"bad", b"[" * 100_000, ""),
    "two mebibytes": ("subscriptions", b"bad", document(subscriber_name="x" * 2_097_152), ""),
    "an unknown field": ("subscriptions", b"bad", document(fliter="true"), "fliter"),
    "a field of another type": ("subscriptions", b"bad", document(is_active="yes"), "is_active"),
    "a private target": ("subscriptions", b"bad", document(target_url="http://10.0.0.1/"), "target_url"),
    "a metadata address": ("subscriptions", b"bad", document(target_url="http://169.254.169.254/"), "target_url"),
    "an address in disguise": ("subscriptions", b"bad", document(target_url="http://0xa9fea9fe/"), "target_url"),
    "no URL": ("subscriptions", b"bad", document(target_url="hello"), "target_url"),
    "a reserved header": ("subscriptions", b"bad", document(headers={"Host": "x"}), "headers"),
    "a secret that is none": ("subscriptions", b"bad", document(secret="whsec_x"), "secret"),
    "another id than the key": ("subscriptions", b"bad", document(id="other"), "id"),
    "a key that is not UTF-8": ("subscriptions", b"\xff\xfe", document(), "key"),
    "a key of another form": ("subscriptions", b"a b", document(), "key"),
    "no key": ("subscriptions", None, document(), "key"),
    "an unknown auth_type": ("sources", b"bad", b'{"auth_type":"hmca","secret":"s"}', "auth_type"),
    "no auth_type": ("sources", b"bad", b'{"secret":"s"}', "auth_type"),
    "auth without its secret": ("sources", b"bad", b'{"auth_type":"github"}', "secret"),
    "a pointer that is none": ("topics", b"bad", b'{"source_id":"s","ordering_key":{"pointer":"a"}}', "ordering_key"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_malformed_record_is_refused_with_the_field_it_is_about(stack: Stack, name: str) -> None:
    kind, key, value, field = REFUSED[name]
    outcome = await offer(stack, kind, key, value)
    assert outcome["result"] == "refused"
    assert outcome["reason"]
    assert outcome["field"].partition(".")[0] == field
    assert len(json.dumps(outcome)) < 10_000  # however large what was offered


async def arrived(receiver: Receiver, path: str, event_id: str) -> bool:
    """Whether this event, and no other, came to a path. Only then may the target change: an attempt goes to the
    target of its own time, not of the event's."""
    return [entry.webhook_id for entry in await receiver.at(path)] == [event_id]


async def test_the_last_good_version_stays_and_a_good_record_right_after_works(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    good = await team.subscribe(topic, receiver.url("/ok/last-good"))
    key = good["id"].encode()
    for bad in (b"{{{", document(target_url="http://10.0.0.1/"), document(topic_id=7)):
        refused = await offer(stack, "subscriptions", key, bad)
        assert (refused["result"], refused["version"]) == ("refused", good["version"])
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    first = await sender.send_one("push", b"1")
    await until("the first event", lambda: arrived(receiver, "/ok/last-good", first.event_id))

    better = document(topic_id=topic, target_url=receiver.url("/ok/better"))
    assert (await offer(stack, "subscriptions", key, better))["result"] == "applied"
    second = await sender.send_one("push", b"2")
    await until("the second event", lambda: arrived(receiver, "/ok/better", second.event_id))


async def test_nobody_stopped_and_every_refusal_can_be_asked_for(stack: Stack) -> None:
    await stack.ready("ingest", "processors", "projections", within_s=5)
    in_kafka = [json.loads(r.value or b"") for r in await read_stream(stack.bootstrap, "hooklog.config.outcomes")]
    refused = len([outcome for outcome in in_kafka if outcome["result"] == "refused"])

    async def same() -> bool:
        (row,) = await stack.sql("SELECT count() AS n FROM config_changes FINAL WHERE result = 'refused'")
        return int(row["n"]) == refused

    await until(f"{refused} refusals in ClickHouse", same)


@pytest.mark.parametrize(
    ("path", "broken", "field"),
    [
        ("subscriptions", {"target_url": "http://10.0.0.1/"}, "target_url"),
        ("subscriptions", {"timeout_s": "5"}, "timeout_s"),
        ("sources", {"auth_type": "hmca"}, "auth_type"),
        ("topics", {"source_id": 7}, "source_id"),
    ],
)
async def test_rest_refuses_the_same_things_and_names_the_field(
    stack: Stack, path: str, broken: dict[str, Any], field: str
) -> None:
    good = {
        "subscriptions": {"topic_id": "t", "target_url": GOOD_URL},
        "sources": {"auth_type": "none"},
        "topics": {"source_id": "s"},
    }
    answer = await stack.call("POST", f"/api/v1/{path}", good[path] | broken)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
