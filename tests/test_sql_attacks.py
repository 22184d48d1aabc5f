"""Nothing that is asked of the SQL port reads a file, writes, or calls anybody, and it answers after each attempt."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.projections_fixture import ADMIN_KEY
from tests.sql_attacks import HEAVY, PARAMETERS, QUERIES
from tests.sql_port_fixture import SqlService, sql_port

__all__ = ["sql_port"]

pytestmark = pytest.mark.stack

SECRET = "a canary of the file system"


@dataclass
class Listener:
    """A server that nobody should call."""

    port: int = 0
    calls: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        noted = Listener(server.getsockname()[1])
        threading.Thread(target=_note, args=(server, noted), daemon=True).start()
        yield noted


def _note(server: socket.socket, noted: Listener) -> None:
    while True:
        try:
            connection, address = server.accept()
        except OSError:
            return
        noted.calls.append(str(address))
        connection.close()


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("canary") / "canary.csv"
    file.write_text(f"{SECRET}\n")
    return file


def aimed(text: str, canary: Path, listener: Listener) -> str:
    outfile = canary.with_name("written")
    return (
        text.replace("OUTFILE 'OUTFILE", f"OUTFILE '{outfile}")
        .replace("('OUTFILE", f"('{outfile}")
        .replace("CANARY", str(canary))
        .replace("NET", f"127.0.0.1:{listener.port}")
    )


def check_nothing_happened(sql_port: SqlService, canary: Path, listener: Listener) -> None:
    assert not listener.calls
    assert sorted(canary.parent.iterdir()) == [canary]
    assert sql_port.ask("SELECT count() FROM events").text == "0\n"
    assert sql_port.process.poll() is None


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:60])
def test_a_query_leaks_writes_and_calls_nothing(
    sql_port: SqlService, canary: Path, listener: Listener, query: str
) -> None:
    limits = {"max_execution_time": "2"} if query in HEAVY else {}
    answer = sql_port.ask(aimed(query, canary, listener), **limits)
    assert answer.status_code >= 400, answer.text[:500]
    assert SECRET not in answer.text
    assert answer.headers["x-clickhouse-exception-code"]
    check_nothing_happened(sql_port, canary, listener)


@pytest.mark.parametrize(("query", "params"), PARAMETERS)
def test_a_parameter_makes_no_more_of_a_query(
    sql_port: SqlService, canary: Path, listener: Listener, query: str, params: dict[str, str]
) -> None:
    sent = {name: aimed(value, canary, listener) for name, value in params.items()}
    answer = sql_port.ask(aimed(query, canary, listener), **sent)
    assert SECRET not in answer.text
    if answer.status_code == 200:  # values stayed values, and texts texts
        assert query.startswith(("SELECT {x:String}", "SELECT '{"))
    check_nothing_happened(sql_port, canary, listener)
    assert sql_port.ask("SELECT value FROM system.settings WHERE name = 'readonly'").text == "1\n"


def test_the_query_api_refuses_the_same(sql_port: SqlService, canary: Path, listener: Listener) -> None:
    for query in QUERIES[::4]:  # they pass the same gate
        if query not in HEAVY:
            answer = sql_port.rest(aimed(query, canary, listener))
            assert answer.status_code >= 400, query
            assert SECRET not in answer.text
    check_nothing_happened(sql_port, canary, listener)


@pytest.mark.parametrize(("query", "params"), [(q, p) for q, p in PARAMETERS if any("param_" in name for name in p)])
def test_a_value_makes_no_more_of_a_query_of_the_query_api(
    sql_port: SqlService, canary: Path, listener: Listener, query: str, params: dict[str, str]
) -> None:
    values = {name.removeprefix("param_"): aimed(value, canary, listener) for name, value in params.items()}
    answer = sql_port.rest(aimed(query, canary, listener), parameters=values)
    assert SECRET not in answer.text
    if answer.status_code == 200:
        assert query.startswith(("SELECT {x:String}", "SELECT '{"))
    check_nothing_happened(sql_port, canary, listener)


def test_what_takes_too_much_is_told_once_and_plainly(sql_port: SqlService) -> None:
    refused = sql_port.ask("SELECT 1 AS " + "a" * 20_000 + " FROM numbers(20000) FORMAT JSONEachRow")
    assert (refused.status_code, refused.text.count("Code: "), "version" in refused.text) == (503, 1, False)
    assert refused.text.endswith("(MEMORY_LIMIT_EXCEEDED)\n")


def test_nothing_of_an_answer_that_failed_comes_out_with_the_next_one(sql_port: SqlService) -> None:
    for _ in range(3):  # more often than there are connections
        assert sql_port.ask("SELECT number FROM numbers(1000000)").status_code == 413
        assert sql_port.rest("SELECT number FROM numbers(1000000)").status_code == 413
        assert sql_port.ask("SELECT 1").text == "1\n"
        assert sql_port.rest("SELECT 1 AS n").text == '{"n":1}\n'


def test_there_are_many_attempts() -> None:
    assert len(QUERIES) + len(PARAMETERS) >= 140


def test_no_key_stands_in_the_log_or_in_an_answer(sql_port: SqlService) -> None:
    wrong = "hlk_no_such_key"
    told = sql_port.send(params={"user": "analyst", "password": wrong, "query": "SELECT 1"}).text
    told += sql_port.send(params={"user": "analyst", "password": ADMIN_KEY, "query": "SELECT x"}).text
    assert not [key for key in (wrong, ADMIN_KEY) if key in told + sql_port.log()]
