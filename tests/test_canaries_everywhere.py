"""Every kind of secret, planted in a gateway that logs all it can, stands where it belongs and nowhere else."""

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.streams import ALL_STREAMS, INTAKE
from tests.certificates_fixture import issue
from tests.oracle.http import Connection, get
from tests.oracle.kafka_reader import produce, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.stack import Stack, until
from tests.test_canaries import canary

pytestmark = pytest.mark.stack

SERVICES = ("ingest", "processors", "projections")
KEY_FILES = {"keyring", "admin.key"}
EVENT = b'{"type":"seen"}'


class Secrets:
    """What is planted, each with the places that it may stand in.

    Attributes:
        values: the bytes to look for; where they may stand in the clear.
    """

    def __init__(self) -> None:
        self.values: dict[bytes, frozenset[str]] = {}

    def keep(self, value: str, *allowed: str) -> str:
        """One more."""
        self.values[value.encode()] = frozenset(allowed)
        return value

    def new(self, *allowed: str) -> str:
        return self.keep(canary(), *allowed)

    def new_signing(self) -> str:
        """One in the form of Standard Webhooks."""
        key = base64.b64encode(secrets.token_bytes(24)).decode()
        self.keep(key)
        return f"whsec_{key}"

    def found_in(self, place: str, content: bytes) -> list[tuple[str, bytes]]:
        return [(place, value) for value, allowed in self.values.items() if value in content and place not in allowed]


@pytest.fixture
def planted() -> Secrets:
    return Secrets()


@pytest.fixture
def loud_stack(tmp_path: Path, planted: Secrets) -> Iterator[Stack]:
    """A gateway that made its own encryption keys, and logs all that it can."""
    running = Stack(tmp_path, encryption_keys="", log_level="debug", partitions=2)
    running.admin_key = running._settings["admin_key"] = planted.new()
    try:
        asyncio.run(running.up())
        for entry in (tmp_path / "data" / "keyring").read_text().split():
            planted.keep(entry.partition(":")[2])
        yield running
    finally:
        asyncio.run(running.down())


def sources(planted: Secrets) -> dict[str, dict[str, Any]]:
    """A source of every provider that has a secret."""
    plain = ("github", "gitlab", "shopify", "slack", "stripe", "hmac", "token")
    found: dict[str, dict[str, Any]] = {
        name: {"auth_type": name, "secrets": [planted.new(), planted.new()]} for name in plain
    }
    found |= {name: {"auth_type": name, "secret": planted.new_signing()} for name in ("svix", "standard_webhooks")}
    found["basic"] = {"auth_type": "basic", "secret": planted.new(), "auth_config": {"username": "u"}}
    found["named"] = {"auth_type": "token", "secret": planted.new(), "auth_config": {"header": "X-Door"}}
    found["twilio"] = {"auth_type": "twilio", "secret": planted.new(), "auth_config": {"url": "https://a.example"}}
    found["open"] = {"auth_type": "none"}
    return found


async def subscribe(stack: Stack, planted: Secrets, receiver: Receiver) -> None:
    """Subscriptions with every secret that one can have; one's endpoint fails, and one's does not speak TLS."""
    tls = issue("hooklog")
    for line in tls.key_pem.splitlines()[1:-1]:
        planted.keep(line)
    # A URL is what people see of a subscription, its query included; of attempts and all that follows they do not.
    url_token = planted.new("config", "config.outcomes", "tables.subscriptions", "config_changes", "answer", "data")
    common: dict[str, Any] = {"topic_id": "open", "retry": {"delays_s": []}}
    documents: dict[str, dict[str, Any]] = {
        "fine": {"target_url": receiver.url(f"/ok/canaries?token={url_token}&{url_token}")},
        "dead": {"target_url": receiver.url(f"/dead/canaries?token={url_token}")},
        "tls": {
            "target_url": f"https://127.0.0.1:{receiver.port}/ok/tls?token={url_token}",
            "tls": {"client_cert_pem": tls.pem, "client_key_pem": tls.key_pem},
        },
    }
    for name, document in documents.items():
        headers = {"Authorization": f"Bearer {planted.new()}", "X-Door": planted.new()}
        own = {"id": name, "headers": headers, "secrets": [planted.new_signing(), planted.new()]}
        await stack.admin("POST", "/api/v1/subscriptions", common | document | own)
    produced = {"topic_id": "open", "target_url": receiver.url("/ok/produced")}
    for name, fields in (("produced", {}), ("refused", {"nonsense": 1}), ("worse", {"timeout_s": "now"})):
        secret = {"secret": planted.new("config", "data"), "headers": {"X-Door": planted.new("config", "data")}}
        value = json.dumps(produced | secret | fields).encode()
        await produce(stack.bootstrap, "hooklog.config.subscriptions", name.encode(), value)


async def send(stack: Stack, planted: Secrets, made: dict[str, dict[str, Any]]) -> list[bytes]:
    """Credentials, right and wrong, in every place that senders put them; the answers."""

    def basic(password: str) -> str:
        return "Basic " + planted.keep(base64.b64encode(f"u:{password}".encode()).decode())

    token, named = made["token"]["secrets"], made["named"]["secret"]
    requests = [
        ("token", {"Authorization": f"Bearer {token[0]}"}, 202),
        ("token", {"Authorization": f"Bearer {token[1]}", "X-Other": token[0]}, 202),
        ("named", {"X-Door": named, "Cookie": planted.new()}, 202),
        ("basic", {"Authorization": basic(made["basic"]["secret"])}, 202),
        ("gitlab", {"X-Gitlab-Token": made["gitlab"]["secrets"][0]}, 202),
        ("token", {"Authorization": f"Bearer {planted.new()}", "X-Api-Key": planted.new()}, 403),
        ("named", {"X-Door": planted.new(), "Authorization": f"Bearer {planted.new()}"}, 403),
        ("basic", {"Authorization": basic(planted.new())}, 403),
        ("gitlab", {"X-Gitlab-Token": planted.new()}, 403),
        ("open", {"Authorization": f"Bearer {planted.new()}", "X-Auth-Token": planted.new()}, 202),
        *((name, {"X-Secret": planted.new()}, 403) for name in made if name not in {"open", "token", "named", "basic"}),
    ]
    answers = []
    async with Connection(stack.ports["ingest"]) as connection:
        for topic, headers, status in requests:
            path = f"/api/v1/ingest/{topic}?token={planted.new()}"
            answer = await connection.request("POST", path, EVENT, headers)
            assert answer.status == status, (topic, answer)
            answers.append(answer.body)
    return answers + await ask_as_stranger(stack, planted) + await configure_wrongly(stack, planted)


async def ask_as_stranger(stack: Stack, planted: Secrets) -> list[bytes]:
    """Questions with keys that are none; the answers."""
    answers = []
    for service, path in (("ingest", "/api/v1/sources"), ("projections", "/api/v1/logs/events")):
        for scheme in ("Bearer ", ""):
            headers = {"Authorization": f"{scheme}{planted.new()}"}
            async with Connection(stack.ports[service]) as connection:
                answer = await connection.request("GET", f"{path}?q={planted.new()}", b"", headers)
            assert answer.status == 401
            answers.append(answer.body)
    return answers


async def configure_wrongly(stack: Stack, planted: Secrets) -> list[bytes]:
    """Documents with a mistake where the secret is, or beside it; the answers."""
    answers = []
    for method, path, document in (
        ("PATCH", "/api/v1/subscriptions/fine", {"secret": {"wrong": planted.new()}}),
        ("PATCH", "/api/v1/subscriptions/fine", {"headers": {"X-Door": [planted.new()]}}),
        ("PUT", "/api/v1/subscriptions/fine", {"tls": {"client_key_pem": planted.new()}, "topic_id": 7}),
        ("POST", "/api/v1/sources", {"auth_type": "github", "secret": planted.new(), "nonsense": 1}),
        ("POST", "/api/v1/sources", {"auth_type": "standard_webhooks", "secret": f"whsec_{planted.new()}"}),
        ("POST", "/api/v1/subscriptions/fine/check", {"secret": [planted.new()]}),
        ("POST", "/api/v1/sources", [planted.new()]),
    ):
        answer = await stack.call(method, path, document)
        assert answer.status in {400, 422}
        answers.append(answer.body)
    return answers


async def everything(stack: Stack) -> list[tuple[str, bytes]]:
    """All that a gateway keeps and says, by where it stands."""
    found = []
    for stream in ALL_STREAMS:
        name = "config" if stream in INTAKE.values() else stream.name
        for record in await read_stream(stack.bootstrap, f"hooklog.{stream.name}"):
            parts = [
                record.key or b"",
                record.value or b"",
                *(part for name, value in record.headers for part in (name.encode(), value)),
            ]
            found.append((name, b"\n".join(parts)))
    for row in await stack.sql("SELECT name FROM system.tables WHERE database = 'hooklog'"):
        rows = await stack.sql(f"SELECT toString(tuple(*)) AS text FROM {row['name']}")  # noqa: S608 - names are the tables'
        found += [(row["name"], each["text"].encode()) for each in rows]
    for service in SERVICES:
        for path in ("/metrics", "/ready", "/health"):
            found.append((f"{service} {path}", (await get(stack.ports[service], path)).body))
    for kind in ("sources", "topics", "subscriptions"):
        found.append(("answer", (await stack.call("GET", f"/api/v1/{kind}?limit=100")).body))
    for path in ("events", "deliveries", "attempts", "rejections", "operations"):
        listed = await stack.call("GET", f"/api/v1/logs/{path}?limit=100", port=stack.ports["projections"])
        assert listed.status == 200, path
        found.append((f"log of {path}", listed.body))
    found += [(log.name, log.read_bytes()) for log in stack.folder.glob("*.log")]
    return found


async def test_every_planted_secret_stands_where_it_belongs_and_nowhere_else(
    loud_stack: Stack, planted: Secrets, receiver: Receiver
) -> None:
    stack = loud_stack
    made = sources(planted)
    for name, source in made.items():
        await stack.admin("POST", "/api/v1/sources", {"id": name, **source})
        await stack.admin("POST", "/api/v1/topics", {"id": name, "source_id": name})
    await subscribe(stack, planted, receiver)
    answers = await send(stack, planted, made)
    for table, least in (("attempts", 4), ("rejections", 10), ("operations", 2)):
        await until(f"rows of {table}", lambda: stack.sql(f"SELECT 1 FROM {table} HAVING count() >= {least}"))  # noqa: S608, B023

    leaks = [leak for answer in answers for leak in planted.found_in("an error's answer", answer)]
    for place, content in await everything(stack):
        leaks += planted.found_in(place, content)
    await stack.down()  # also what is written at the end
    leaks += planted.found_in("up.log", (stack.folder / "up.log").read_bytes())
    for file in (stack.folder / "data").rglob("*"):
        if file.is_file() and file.name not in KEY_FILES:
            leaks += [(str(file), value) for _, value in planted.found_in("data", file.read_bytes())]
    assert not leaks
    assert len(planted.values) > 60
