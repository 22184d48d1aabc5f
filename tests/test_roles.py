"""Every route of both services, asked by every role and by nobody: what is declared is what happens."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from runtime.answer_headers import ANSWER_HEADERS
from runtime.roles import NEEDED
from schemas.key import ROLES, includes
from tests.ingest_fixture import DEADLINE_S, Gateway, wait_until
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import Projections
from tests.roles_fixture import PUBLIC

pytestmark = pytest.mark.stack

ENDING = {"/api/v1/logs/tail": "?max_s=1"}
"""What makes an answer that would go on for long end at once."""


@dataclass(frozen=True)
class Services:
    """Both services, and a key of each role."""

    gateway: Gateway
    projections: Projections
    keys: dict[str, dict[str, Any]]

    @property
    def urls(self) -> tuple[str, str]:
        """Ingest and projections."""
        return self.gateway.url, f"http://127.0.0.1:{self.projections.settings.query_port}"

    def ask(self, url: str, method: str, path: str, key: str | None, document: Any = None) -> httpx.Response:
        """An answer to a key, or to nobody."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.request(method, f"{url}{path}", headers=headers, json=document, timeout=DEADLINE_S)

    def routes(self) -> Iterator[tuple[str, str, str]]:
        """URL, method and path of every operation of both documents."""
        for url in self.urls:
            for path, item in httpx.get(f"{url}/openapi.json").json()["paths"].items():
                for method in item:
                    yield url, method.upper(), path


@pytest.fixture(scope="module")
def services(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    if session_kafka.pid is None:
        session_kafka.start()
    gateway = Gateway(session_kafka, tmp_path_factory.mktemp("gateway"))
    projections = Projections(session_kafka, tmp_path_factory.mktemp("projections"))
    prefix = {"kafka_prefix": gateway.settings.kafka_prefix}
    projections.settings = projections.settings.model_copy(update=prefix)
    projections.start()
    with gateway.processors(), gateway.ingest(), gateway.admin as admin:
        made: dict[str, Any] = {
            role: admin.post("/api/v1/keys", json={"name": f"a {role}", "role": role}).json() for role in ROLES
        }
        ended = {"name": "ended", "role": "admin", "expires_at": datetime.now(UTC).isoformat()}
        made["ended"] = admin.post("/api/v1/keys", json=ended).json()
        made["revoked"] = admin.post("/api/v1/keys", json={"name": "revoked", "role": "admin"}).json()
        assert admin.delete(f"/api/v1/keys/{made['revoked']['id']}").status_code == 204
        projections.until_ready()
        yield Services(gateway, projections, made)
    assert projections.stop() == 0


def test_every_route_has_a_declared_role_and_nothing_else_has_one(services: Services) -> None:
    served = {(method, path) for _, method, path in services.routes()}
    assert served == set(NEEDED) | PUBLIC


def test_every_route_lets_those_pass_whose_role_is_enough_and_nobody_else(services: Services) -> None:
    asked = 0
    for url, method, path in services.routes():
        if (method, path) in PUBLIC:
            continue
        place = path.replace("{", "").replace("}", "") + ENDING.get(path, "")  # an id that nothing has
        document: Any = None if method in {"GET", "DELETE"} else {}
        name = f"{method} {path}"
        for nobody in (None, "wrong", services.keys["ended"]["key"], services.keys["revoked"]["key"]):
            answer = services.ask(url, method, place, nobody, document)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), name
        for role in ROLES:
            answer = services.ask(url, method, place, services.keys[role]["key"], document)
            refused = answer.status_code == 403 and answer.json()["code"] == "role"
            assert refused is not includes(role, NEEDED[method, path]), (name, role, answer.text)
            assert answer.status_code != 401, (name, role)
            asked += 1
    assert asked == len(NEEDED) * len(ROLES)


def test_every_role_may_ask_the_sql_port_and_no_ended_key_may(services: Services) -> None:
    url = f"http://127.0.0.1:{services.projections.settings.sql_port}/?query=SELECT+1"
    statuses = {name: httpx.get(url, auth=("analyst", made["key"])).status_code for name, made in services.keys.items()}
    assert statuses == dict.fromkeys(ROLES, 200) | {"ended": 403, "revoked": 403}


def test_what_needs_no_key_takes_none(services: Services) -> None:
    for url in services.urls:
        for path in ("/health", "/ready", "/metrics", "/openapi.json", "/docs"):
            assert services.ask(url, "GET", path, None).status_code == 200


def test_every_answer_carries_the_headers_that_keep_browsers_out(services: Services) -> None:
    key = services.keys["viewer"]["key"]
    for url in services.urls:
        answers = [
            services.ask(url, "GET", "/docs", None),
            services.ask(url, "GET", "/nothing", key),
            services.ask(url, "GET", "/api/v1/replays", key),
            services.ask(url, "GET", "/api/v1/sources", key),
            services.ask(url, "GET", "/api/v1/sources", None),
            services.ask(url, "POST", "/api/v1/ingest/nobody", None, {}),
            httpx.get(f"{url}/health", headers={"Host": "evil.example"}),
        ]
        assert {answer.status_code for answer in answers} >= {200, 404, 421}
        for answer in answers:
            for name, value in ANSWER_HEADERS:
                assert answer.headers.get_list(name) == [value], (str(answer.url), name)


def test_the_page_of_the_routes_loads_nothing_from_anywhere(services: Services) -> None:
    for url in services.urls:
        page = services.ask(url, "GET", "/docs", None)
        assert page.headers["content-type"].startswith("text/html")
        for word in ("<script", "<link", "<img", "<style", "src=", "http://", "cdn"):
            assert word not in page.text, word
        assert "/api/v1/" in page.text
        assert "Role: viewer" in page.text


def test_who_asked_for_a_replay_or_changed_a_record_stands_in_the_tables(services: Services) -> None:
    ingest, query = services.urls
    editor, admin = services.keys["editor"], services.keys["admin"]
    actor = f"key:{editor['id']} {editor['name']}"
    source = services.ask(ingest, "PUT", "/api/v1/sources/told", editor["key"], {"auth_type": "none"})
    assert source.status_code == 201
    asked = services.ask(query, "POST", "/api/v1/replays", editor["key"], {"mode": "all", "event_ids": ["none"]})
    assert (asked.status_code, asked.json()["requested_by"]) == (202, actor)

    def rows(query_text: str) -> list[dict[str, Any]]:
        answer = services.ask(query, "POST", "/api/v1/sql", admin["key"], {"query": query_text})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    changes = "SELECT kind, actor, record FROM config_changes WHERE id = '{}'"
    wait_until(lambda: rows(changes.format("told")))
    assert [row["actor"] for row in rows(changes.format("told"))] == [actor]
    (made,) = rows(changes.format(editor["id"]))
    assert (made["kind"], made["actor"]) == ("keys", "admin")
    assert set(json.loads(made["record"])) & {"hash", "key"} == set()
    for table in rows("SELECT name FROM system.tables WHERE database = 'hooklog' AND engine != 'View'"):
        name = table["name"]
        assert not rows(f"SELECT 1 FROM {name} WHERE toString(tuple(*)) LIKE '%hlk_%'"), name  # noqa: S608


def test_the_read_side_goes_on_with_known_keys_while_kafka_is_away(
    services: Services, session_kafka: RunningKafka
) -> None:
    _, query = services.urls
    path = "/api/v1/logs/events"
    known = services.keys["viewer"]["key"]
    assert services.ask(query, "GET", path, known).status_code == 200
    session_kafka.kill()
    try:
        assert services.ask(query, "GET", path, known).status_code == 200
        unknown = services.ask(query, "GET", path, f"hlk_{'0' * 26}_{'x' * 43}")
        assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "5")
    finally:
        session_kafka.start()
    wait_until(lambda: services.ask(query, "GET", path, f"hlk_{'0' * 26}_{'x' * 43}").status_code == 401)
    late = httpx.post(
        f"{services.gateway.url}/api/v1/keys",
        json={"name": "late", "role": "viewer"},
        headers={"Authorization": f"Bearer {services.keys['admin']['key']}"},
        timeout=DEADLINE_S,
    )
    wait_until(lambda: services.ask(query, "GET", path, late.json()["key"]).status_code == 200)
