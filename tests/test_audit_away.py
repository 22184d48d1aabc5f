"""Where nobody can tell, an audit says so, and what was asked wrongly is named; nothing is waited for in vain."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from projections.app import USERS_CONFIG
from projections.audit.auditor import Auditor
from projections.query.audit_routes import AuditQuestion, audit_routes
from projections.query.readers import Readers
from projections.query.streamed import Streamed
from runtime.clickhouse import clickhouse_of
from runtime.embedded.broker_files import free_port
from runtime.settings import Settings
from tests.cli_fixture import CommandLine
from tests.oracle.stack import free_ports
from tests.projections_fixture import ADMIN_KEY, DEADLINE_S, until

pytestmark = pytest.mark.stack

RUN = "from projections.app import run; from runtime.settings import Settings; run(Settings())"


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command beside a projections process whose Kafka is away."""
    folder: Path = tmp_path_factory.mktemp("lonely")
    (kafka_port,) = free_ports(1)
    variables = {
        "HOOKLOG_DATA_DIR": str(folder / "data"),
        "HOOKLOG_KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka_port}",
        "HOOKLOG_QUERY_PORT": str(free_port()),
        "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
    }
    with (folder / "projections.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", RUN], env=os.environ | variables, stdout=log, stderr=log)
    command = CommandLine(folder, variables)
    try:
        until(lambda: command("audit").code == 1 and "Kafka" in command("audit").err, "an answer")
        yield command
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def test_an_audit_without_kafka_ends_with_the_reason_and_code_1(lonely: CommandLine) -> None:
    ended = lonely("audit", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "Kafka does not answer" in ended.err


def test_what_is_asked_wrongly_ends_with_code_2_and_names_it(lonely: CommandLine) -> None:
    for arguments, word in (
        (("--since", "yesterday"), "yesterday"),
        (("--since", "1h", "--until", "2h"), "until: is before since"),
        (("--wait", "1h"), "wait_s"),
        (("--limit", "0"), "limit"),
    ):
        ended = lonely("audit", *arguments)
        assert ended.code == 2, ended
        assert word in ended.err


def test_the_route_answers_with_a_problem_or_with_a_line_of_one(lonely: CommandLine) -> None:
    def get(query: str) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{lonely.environment()['HOOKLOG_QUERY_PORT']}/api/v1/audit{query}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, [json.loads(line) for line in answer.read().splitlines()]
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    status, problem = get("")
    assert (status, problem["code"]) == (503, "unavailable")
    status, lines = get("?progress=true")
    assert status == 200
    assert list(lines[0]) == ["progress"]
    assert lines[-1]["problem"]["status"] == 503
    status, problem = get("?since=now&colour=red")
    assert (status, problem["code"]) == (422, "invalid")


async def test_an_audit_in_lines_is_cut_off_from_who_takes_none_of_them(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    auditor = Auditor(settings, Readers(clickhouse_of(settings, USERS_CONFIG), 1, {}), lambda: 0)
    (route,) = (route for route in audit_routes(auditor).routes if isinstance(route, APIRoute))
    assert isinstance(await route.endpoint(AuditQuestion(progress=True)), Streamed)
