"""API keys over HTTP: made, shown once, changed, revoked; in two ingest processes, through crashes and outages."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from runtime.api_key import key_hash
from runtime.embedded.broker_files import free_port
from runtime.guesses import FAILURES_PER_MINUTE
from schemas.outcome import decode_outcome
from schemas.streams import ALL_STREAMS, INTAKE, OUTCOMES, TABLES
from tests.ingest_fixture import ADMIN_KEY, DEADLINE_S, KEYS, Gateway, admin, answers, gateway, wait_until

__all__ = ["admin", "gateway"]

PATH = "/api/v1/keys"
MADE: list[str] = []
"""Every key of this module: none may stand anywhere."""


def make(admin: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = admin.post(PATH, json={"name": "ci", "role": "viewer"} | fields)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{document['id']}"
    MADE.append(document["key"])
    return document


def look(url: str, key: str) -> httpx.Response:
    return httpx.get(f"{url}/api/v1/sources", headers={"Authorization": f"Bearer {key}"}, timeout=DEADLINE_S)


class Child:
    """One more ingest, in a process that can be killed."""

    def __init__(self, gateway: Gateway) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._variables = {
            "HOOKLOG_KAFKA_BOOTSTRAP": gateway.settings.kafka_bootstrap,
            "HOOKLOG_KAFKA_PREFIX": gateway.settings.kafka_prefix,
            "HOOKLOG_INGEST_PORT": str(self.port),
            "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
            "HOOKLOG_ENCRYPTION_KEYS": KEYS,
        }
        self._log = gateway.settings.data_dir / "ingest-2.log"
        self.start()

    def start(self) -> None:
        program = "from ingest.app import run; from runtime.settings import Settings; run(Settings())"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program], env=os.environ | self._variables, stdout=log, stderr=log
            )
        wait_until(lambda: answers(f"{self.url}/ready", 200))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)


@pytest.fixture
def second(gateway: Gateway) -> Iterator[Child]:
    child = Child(gateway)
    yield child
    child.kill()


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_key_is_shown_once_and_opens_what_its_role_may(admin: httpx.Client, gateway: Gateway) -> None:
    made = make(admin, name="dashboard")
    shown = admin.get(f"{PATH}/{made['id']}").json()
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert (shown["name"], shown["role"], shown["expires_at"], shown["expired"]) == ("dashboard", "viewer", None, False)
    assert shown in admin.get(PATH, params={"limit": 500}).json()["data"]
    assert "hash" not in shown
    assert look(gateway.url, made["key"]).status_code == 200
    bearer = {"Authorization": f"Bearer {made['key']}"}
    refused = httpx.post(f"{gateway.url}/api/v1/sources", json={"auth_type": "none"}, headers=bearer)
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    assert "editor" in refused.json()["detail"]


def test_without_a_right_key_nothing_opens_and_the_answer_says_what_to_send(
    gateway: Gateway, admin: httpx.Client
) -> None:
    key = make(admin)["key"]
    changed = key[:-1] + ("a" if key[-1] != "a" else "b")
    shapes = ("x", "hlk_", key[:-1], f"{key}x", f"hlk_{'0' * 26}_{'x' * 43}")
    for wrong in (changed, key.lower(), key.upper(), *shapes):
        answer = look(gateway.url, wrong)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), wrong
        assert answer.json()["code"] == "admin_key_missing"
    for header in ("", f"Basic {key}", key, "Bearer \xff", f"Bearer {key}, {key}"):
        headers = [(b"Authorization", header.encode("latin-1"))]
        answer = httpx.get(f"{gateway.url}{PATH}", headers=headers)
        assert answer.status_code == 401, header


def test_a_change_of_its_role_or_end_counts_from_the_answer_on(admin: httpx.Client, gateway: Gateway) -> None:
    made = make(admin, role="viewer")
    one = f"{PATH}/{made['id']}"
    bearer = {"Authorization": f"Bearer {made['key']}"}
    assert httpx.get(f"{gateway.url}{PATH}", headers=bearer).status_code == 403
    changed = admin.patch(one, json={"role": "admin"})
    assert (changed.status_code, changed.json()["role"], changed.json()["name"]) == (200, "admin", "ci")
    assert changed.json()["version"] > made["version"]
    assert httpx.get(f"{gateway.url}{PATH}", headers=bearer).status_code == 200
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert admin.patch(one, json={"expires_at": past}).json()["expired"] is True
    answer = httpx.get(f"{gateway.url}{PATH}", headers=bearer)
    assert (answer.status_code, "expired" in answer.json()["detail"]) == (401, True)
    assert admin.patch(one, json={"expires_at": None}).json()["expires_at"] is None
    assert httpx.get(f"{gateway.url}{PATH}", headers=bearer).status_code == 200


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"name": "x"}, "role"),
        ({"role": "viewer"}, "name"),
        ({"name": "x", "role": "owner"}, "role"),
        ({"name": "x\u0000", "role": "viewer"}, "name"),
        ({"name": "x", "role": "viewer", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "role": "viewer", "hash": "0" * 64}, "hash"),
        ({"name": "x", "role": "viewer", "id": "mine"}, "id"),
    ],
)
def test_a_wrong_key_document_is_refused_and_the_field_is_named(
    admin: httpx.Client, document: dict[str, Any], field: str
) -> None:
    answer = admin.post(PATH, json=document)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
    made = make(admin)
    if field in {"hash", "id"}:
        assert admin.patch(f"{PATH}/{made['id']}", json={field: document[field]}).status_code == 422


def test_what_is_not_there_is_not_found(admin: httpx.Client) -> None:
    for method in ("GET", "DELETE"):
        assert admin.request(method, f"{PATH}/nobody").status_code == 404
    assert admin.patch(f"{PATH}/nobody", json={"name": "x"}).status_code == 404
    assert admin.patch(f"{PATH}/nobody", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    assert admin.post(PATH, content=b"[]").status_code == 400
    assert admin.get(PATH, params={"q": "x"}).status_code == 422


def test_a_key_opens_every_process_at_once_and_after_its_end_none(
    admin: httpx.Client, gateway: Gateway, second: Child
) -> None:
    for _ in range(5):
        made = make(admin)
        assert look(second.url, made["key"]).status_code == 200  # the very first request: a miss catches up
        with httpx.Client(base_url=second.url, headers={"Authorization": f"Bearer {made['key']}"}) as elsewhere:
            # A route that asks Kafka for nothing, so that the question itself brings no news.
            assert elsewhere.post("/api/v1/sources").status_code == 403
            assert admin.delete(f"{PATH}/{made['id']}").status_code == 204
            revoked_s = time.monotonic()
            assert look(gateway.url, made["key"]).status_code == 401  # who answered 204 knows it
            wait_until(lambda client=elsewhere: client.post("/api/v1/sources").status_code == 401)  # type: ignore[misc]
            print(f"revoked elsewhere within {(time.monotonic() - revoked_s) * 1_000:.0f} ms")
        assert admin.get(f"{PATH}/{made['id']}").status_code == 404


def test_keys_and_their_ends_outlive_kill_9(admin: httpx.Client, second: Child) -> None:
    kept, revoked = make(admin, role="editor"), make(admin, role="editor")
    assert look(second.url, revoked["key"]).status_code == 200
    second.kill()
    assert admin.delete(f"{PATH}/{revoked['id']}").status_code == 204
    second.start()
    assert look(second.url, kept["key"]).status_code == 200
    assert look(second.url, revoked["key"]).status_code == 401
    second.kill()
    second.start()
    assert look(second.url, revoked["key"]).status_code == 401


def test_while_kafka_is_away_an_unknown_key_is_no_wrong_key(admin: httpx.Client, gateway: Gateway) -> None:
    made = make(admin)
    bearer = {"Authorization": f"Bearer {made['key']}"}
    with frozen(gateway.kafka.pid):
        unknown = look(gateway.url, f"hlk_{'0' * 26}_{'x' * 43}")
        known = httpx.post(f"{gateway.url}/api/v1/sources", json={}, headers=bearer, timeout=DEADLINE_S)
        shapeless = look(gateway.url, "x")
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "5")
    assert (known.status_code, known.json()["code"]) == (403, "role")  # known, and so is its role
    assert shapeless.status_code == 401
    wait_until(lambda: look(gateway.url, made["key"]).status_code == 200)


def test_who_changed_a_record_is_told_and_nobody_can_pass_for_another(admin: httpx.Client, gateway: Gateway) -> None:
    made = make(admin, role="editor", name="Ada's ☕")
    bearer = {"Authorization": f"Bearer {made['key']}"}
    source = f"{gateway.url}/api/v1/sources/by-ada"
    assert httpx.put(source, json={"auth_type": "none"}, headers=bearer).status_code == 201
    assert httpx.patch(source, json={"name": "x"}, headers=bearer).status_code == 200
    assert httpx.delete(source, headers=bearer).status_code == 204
    actors = [one.actor for one in outcomes(gateway) if one.id == "by-ada"]
    assert actors == [f"key:{made['id']} Ada's ☕"] * 3
    headers = next(record.headers for record in gateway.records(INTAKE["sources"]) if record.key == b"by-ada")
    gateway.produce(INTAKE["sources"], b"forged", b'{"auth_type":"none"}', list(headers))
    gateway.produce(INTAKE["sources"], b"claimed", b'{"auth_type":"none"}', [("hl-actor", b"admin")])
    gateway.produce(INTAKE["sources"], b"silent", b'{"auth_type":"none"}', [])
    wait_until(lambda: [one for one in outcomes(gateway) if one.id == "silent"])
    told = {one.id: one.actor for one in outcomes(gateway)}
    assert told["forged"] == "produced:sealed for another change"
    assert (told["claimed"], told["silent"]) == ("produced:admin", "")


def test_a_key_that_is_produced_without_its_hash_is_refused_and_one_with_it_opens(gateway: Gateway) -> None:
    chosen = f"hlk_produced_{'a' * 43}"
    record = {"name": "by hand", "role": "viewer", "hash": key_hash(chosen)}
    for key, wrong in ((b"no-hash", record | {"hash": ""}), (b"the-key", record | {"hash": chosen})):
        gateway.produce(INTAKE["keys"], key, orjson.dumps(wrong), [])
    gateway.produce(INTAKE["keys"], b"produced", orjson.dumps(record), [])
    wait_until(lambda: look(gateway.url, chosen).status_code == 200)
    told = {one.id: (one.result, one.field) for one in outcomes(gateway) if one.kind == "keys"}
    assert told["no-hash"] == told["the-key"] == ("refused", "hash")


def test_who_keeps_sending_wrong_keys_is_turned_away_by_the_address_that_a_proxy_tells(
    admin: httpx.Client, gateway: Gateway
) -> None:
    with gateway.ingest(ingest_port=free_port(), trusted_proxies="127.0.0.1") as url:

        def ask(key: str, client: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": client}
            answer = httpx.get(f"{url}{PATH}", headers=headers, timeout=DEADLINE_S)
            gateway.contract.check(answer)
            return answer

        statuses = [ask("wrong", "203.0.113.7").status_code for _ in range(FAILURES_PER_MINUTE + 5)]
        assert statuses[:FAILURES_PER_MINUTE] == [401] * FAILURES_PER_MINUTE
        shut = ask(ADMIN_KEY, "203.0.113.7")
        assert (shut.status_code, shut.json()["code"]) == (429, "too_many_failures")
        assert int(shut.headers["retry-after"]) >= 1
        assert ask(ADMIN_KEY, "203.0.113.8").status_code == 200
        viewer = make(admin)["key"]
        assert ask(viewer, "203.0.113.7").status_code == 403  # its role: it was looked up
        assert ask(ADMIN_KEY, "203.0.113.7").status_code == 429  # and let no guesser in


def test_no_key_stands_in_a_stream_or_a_log(gateway: Gateway) -> None:
    assert len(MADE) > 10
    secrets = [key.rpartition("_")[2].encode() for key in MADE]
    tables = {record.key.decode() for record in gateway.records(TABLES["keys"]) if record.key}
    assert {key.split("_")[1] for key in MADE} <= tables  # they were there, so there was something to find
    for stream in ALL_STREAMS:
        for record in gateway.records(stream):
            whole = b"\n".join([record.key or b"", record.value or b"", *(value for _, value in record.headers)])
            assert not [secret for secret in secrets if secret in whole], stream.name
    told = b"".join(record.value or b"" for record in gateway.records(OUTCOMES))
    assert not [key for key in MADE if key_hash(key).encode() in told]
    for log in gateway.settings.data_dir.glob("*.log"):
        text = log.read_bytes()
        assert not [secret for secret in secrets if secret in text], log.name


def outcomes(gateway: Gateway) -> list[Any]:
    return [decode_outcome(record.value) for record in gateway.records(OUTCOMES)]
