"""`hooklog encryption` against ingest and the real config agent: what is sealed how, and sealed anew."""

import asyncio
import base64
import os
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.kafka import Appender, Outgoing
from runtime.supervisor.data_lock import hold_data_dir
from schemas.streams import TABLES, StreamNames
from tests.cli_fixture import CommandLine, config_gateway, hooklog
from tests.ingest_fixture import KEYS, Gateway, wait_until

__all__ = ["config_gateway", "hooklog"]

NEW = {"key": "k1", "bound_to": "field"}


@pytest.fixture
def terminal(config_gateway: Gateway) -> dict[str, str]:
    """The variables of a terminal that reaches Kafka and has the keys."""
    return {
        "HOOKLOG_KAFKA_BOOTSTRAP": config_gateway.settings.kafka_bootstrap,
        "HOOKLOG_KAFKA_PREFIX": config_gateway.settings.kafka_prefix,
        "HOOKLOG_ENCRYPTION_KEYS": KEYS,
    }


def as_an_older_release(text: str, context: str) -> str:
    nonce, key = os.urandom(12), base64.b64decode(KEYS.partition(":")[2])
    sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), context.encode())
    return f"hlenc:v1:k1:{base64.b64encode(sealed).decode()}"


def write_as_an_older_release(gateway: Gateway, hooklog: CommandLine, record_id: str) -> None:
    """Has a record in the table as an older release stored it: its header was never sealed."""
    record = hooklog.ok("subscriptions", "get", record_id, "--json").object
    record["secret"] = as_an_older_release("an old secret", f"subscriptions/{record_id}")
    record["headers"] = {"X-Team": "in the clear"}

    async def write() -> None:
        appender = Appender(gateway.settings.bootstrap, StreamNames(gateway.settings.kafka_prefix))
        await appender.start()
        value = orjson.dumps({name: item for name, item in record.items() if name != "warnings"})
        await appender.append_surely(Outgoing(TABLES["subscriptions"], value, record_id.encode()))
        await appender.stop()

    asyncio.run(write())


def rows(ended: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ended.object["sealed"]
    return found


def test_what_an_older_release_sealed_is_counted_and_sealed_anew_for_its_fields(
    hooklog: CommandLine, config_gateway: Gateway, terminal: dict[str, str]
) -> None:
    hooklog.ok("sources", "apply", "github", "--auth-type", "github", "--secret", "hush", "--secret", "older")
    for name in ("a", "b"):
        url = ("--url", "http://127.0.0.1:9/hook", "--header", "X-Team: a", "--secret", "a secret of mine")
        hooklog.ok("subscriptions", "apply", name, "--topic", "t", *url)
    settled = hooklog.ok("encryption", "status", "--json", **terminal)
    assert rows(settled) == [NEW | {"secrets": 6, "records": 3, "in_keyring": True}]
    assert settled.object["to_rotate"] == 0

    write_as_an_older_release(config_gateway, hooklog, "a")
    found = hooklog("encryption", "status", "--json", **terminal)
    assert (found.code, found.object["to_rotate"]) == (1, 1)
    assert [(row["key"], row["bound_to"], row["secrets"]) for row in rows(found)] == [
        (None, None, 1),
        ("k1", "record", 1),
        ("k1", "field", 4),
    ]
    rotate = ("encryption", "rotate", "--json")
    assert hooklog.ok(*rotate, "--dry-run", **terminal).object["left"] == 1
    assert hooklog("encryption", "status", **terminal).code == 1
    assert hooklog.ok(*rotate, **terminal).object == {"to": "k1", "rotated": 1, "failed": [], "left": 0}
    assert hooklog.ok(*rotate, **terminal).object["rotated"] == 0
    after = hooklog.ok("encryption", "status", "--json", **terminal)
    assert rows(after) == [NEW | {"secrets": 6, "records": 3, "in_keyring": True}]
    same = ("--topic", "t", "--url", "http://127.0.0.1:9/hook", "--header", "X-Team: in the clear")
    assert "unchanged" in hooklog.ok("subscriptions", "apply", "a", *same, "--secret", "an old secret").out


def test_a_rotation_stops_when_the_services_seal_with_another_key(
    hooklog: CommandLine, terminal: dict[str, str]
) -> None:
    for name in ("one", "two"):
        hooklog.ok("sources", "apply", name, "--auth-type", "github", "--secret", "hush")
    entry = hooklog.ok("encryption", "new-key", "--id", "k2").out.strip()
    newer = terminal | {"HOOKLOG_ENCRYPTION_KEYS": f"{entry},{KEYS}"}
    ended = hooklog("encryption", "rotate", **newer)
    assert (ended.code, "the services seal with k1, not with k2" in ended.err) == (1, True)
    versions = {hooklog.ok("sources", "get", name, "--json").object["version"] for name in ("one", "two")}
    hooklog("encryption", "rotate", **newer)
    again = {hooklog.ok("sources", "get", name, "--json").object["version"] for name in ("one", "two")}
    assert len(versions & again) == 1  # each time one record, and no more


def test_a_process_without_the_key_says_so_and_takes_no_record_for_deleted(
    hooklog: CommandLine, config_gateway: Gateway
) -> None:
    hooklog.ok("sources", "apply", "locked", "--auth-type", "token", "--secret", "hush")
    hooklog.ok("topics", "apply", "locked", "--source", "locked")
    other = f"k9:{base64.b64encode(b'9' * 32).decode()}"
    with config_gateway.without_keys(other) as client:
        wait_until(lambda: "do not open 1 records" in client.get("/ready").text)
        ready = client.get("/ready")
        assert (ready.status_code, "HOOKLOG_ENCRYPTION_KEYS" in ready.json()["reasons"][0]) == (503, True)
        for path in ("/api/v1/sources/locked", "/api/v1/sources"):
            answer = client.get(path)
            assert (answer.status_code, "sources/locked" in answer.json()["detail"]) == (503, True)
        changed = client.put("/api/v1/sources/locked", json={"auth_type": "none"})
        sent = client.post("/api/v1/ingest/locked", json={}, headers={"Authorization": "Bearer hush"})
        assert (changed.status_code, sent.status_code) == (503, 503)
    assert hooklog.ok("sources", "get", "locked", "--json").object["auth_type"] == "token"


def test_a_key_is_added_in_front_of_the_file_while_nothing_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    alone = CommandLine(tmp_path_factory.mktemp("alone"), {})
    assert alone("encryption", "add-key").code == 1  # there is nothing to rotate yet
    file = alone.write("data/keyring", f"{KEYS}\n")
    with hold_data_dir(file.parent):
        running = alone("encryption", "add-key")
    assert (running.code, "stop it first" in running.err, file.read_text()) == (1, True, f"{KEYS}\n")
    assert alone.ok("encryption", "add-key", "--id", "k2", "--json").object == {"id": "k2", "keys": ["k2", "k1"]}
    lines = file.read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["k2", "k1"]
    assert (lines[1], file.stat().st_mode & 0o777) == (KEYS, 0o600)
    assert sorted(each.name for each in file.parent.iterdir()) == ["hooklog.lock", "keyring"]
    for wrong in (("add-key", "--id", "k2"), ("remove-key", "k2"), ("remove-key", "k3"), ("remove-key", "k1")):
        assert alone("encryption", *wrong, HOOKLOG_KAFKA_PORT="9").code != 0
    assert alone("encryption", "add-key", HOOKLOG_ENCRYPTION_KEYS=KEYS).code == 2
    assert file.read_text().splitlines() == lines
