"""What makes the readers of a server is SQL that ClickHouse's own parser takes, and its limits are the engine's."""

import re
from pathlib import Path

import pytest

from projections.query.readers import SETTINGS
from runtime.clickhouse import ClickHouseServer, EmbeddedClickHouse
from tests.clickhouse_fixture import engine

__all__ = ["engine"]

USERS = Path(__file__).parent.parent / "deploy" / "clickhouse_users.sql"
LIMITS = ("max_execution_time", "max_memory_usage", "max_result_rows", "max_result_bytes", "max_threads")


def statements() -> list[str]:
    text = re.sub(r"--[^\n]*", "", USERS.read_text())
    return [statement.strip() for statement in text.split(";") if statement.strip()]


@pytest.mark.stack
def test_the_parser_takes_every_statement(engine: EmbeddedClickHouse) -> None:
    client = engine.open_reader(SETTINGS)
    for statement in statements():
        canonical = client.raw_query("SELECT formatQuerySingleLine({q:String})", parameters={"q": statement})
        assert canonical.startswith((b"CREATE ", b"GRANT ")), statement
    client.close()


def test_the_limits_are_the_engines_and_nobody_may_have_more_or_none() -> None:
    text = USERS.read_text()
    for name in LIMITS:
        assert f"{name} = {SETTINGS[name]} MIN 1 MAX {SETTINGS[name]}" in text


def test_readers_may_select_and_show_alone() -> None:
    granted = [found for statement in statements() if (found := re.match(r"GRANT (.*) ON", statement))]
    assert [found[1] for found in granted] == ["SELECT, SHOW TABLES, SHOW COLUMNS, SHOW DATABASES"]


def test_the_read_side_is_another_user_when_there_is_one() -> None:
    server = ClickHouseServer("http://writer:w@one:8123/logs", "https://reader:r%40@two:8443")
    assert (server.database, server._writing["username"]) == ("logs", "writer")
    assert server._reading | {"port": 0} == {
        "interface": "https",
        "host": "two",
        "port": 0,
        "username": "reader",
        "password": "r@",
    }
    assert ClickHouseServer("http://writer:w@one:8123/logs")._reading["username"] == "writer"
