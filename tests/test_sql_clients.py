"""The clients that analysts have ask the SQL port as they ask any ClickHouse: each is the real one."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
import sqlalchemy
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.projections_fixture import ADMIN_KEY
from tests.sql_port_fixture import USER, SqlService, sql_port

__all__ = ["sql_port"]

pytestmark = pytest.mark.stack

NODE = Path(__file__).parent / "node"
BIN = Path(sys.executable).parent


@pytest.fixture
def connected(sql_port: SqlService) -> Iterator[Any]:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=sql_port.port, username=USER, password=ADMIN_KEY)
    yield client
    client.close()


def test_clickhouse_connect_reads_types_values_and_streams(connected: Any) -> None:
    asked = "SELECT {n:UInt64} AS n, {text:String} AS text, {many:Array(String)} AS many, {at:DateTime} AS at"
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    given = {"n": 2**63, "text": "it's\ta %s", "many": ["a'b", "c"], "at": at}
    assert connected.query(asked, parameters=given, query_tz="UTC", tz_mode="aware").first_row == (*given.values(),)
    assert connected.query("SELECT %(a)s", parameters={"a": "b'c"}).first_row == ("b'c",)
    assert connected.command("SELECT count() FROM events") == 0
    assert "attempts" in connected.command("SHOW TABLES")
    assert connected.query("SELECT event_id, headers FROM events LIMIT 0").column_names == ("event_id", "headers")
    with connected.query_row_block_stream("SELECT number FROM numbers(90000)") as blocks:
        assert sum(len(block) for block in blocks) == 90_000
    assert connected.raw_query("SELECT 1 AS a", fmt="CSVWithNames") == b'"a"\n1\n'
    assert connected.ping()


def test_clickhouse_connect_sends_a_form_when_it_is_told_to(sql_port: SqlService) -> None:
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=sql_port.port, username=USER, password=ADMIN_KEY, form_encode_query_params=True
    )
    assert client.query("SELECT {x:String}", parameters={"x": "a'b"}).first_row == ("a'b",)
    client.close()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT nothing FROM events", 47),
        ("DROP TABLE events", 164),
        ("SELECT file('/etc/hostname')", 164),
        ("SELECT number FROM numbers(1000000)", 396),
    ],
)
def test_clickhouse_connect_is_told_why(connected: Any, query: str, code: int) -> None:
    with pytest.raises(DatabaseError) as refused:
        connected.query(query)
    assert refused.value.code == code


def test_clickhouse_connect_cannot_write(connected: Any) -> None:
    with pytest.raises(DatabaseError):
        connected.insert("events", [["x"]], column_names=["event_id"])


def test_sqlalchemy_reads_and_reflects(sql_port: SqlService) -> None:
    engine = sqlalchemy.create_engine(f"clickhousedb://{USER}:{ADMIN_KEY}@127.0.0.1:{sql_port.port}/hooklog")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count() FROM events")).scalar() == 0
        events = sqlalchemy.Table("events", sqlalchemy.MetaData(schema="hooklog"), autoload_with=engine)
        chosen = sqlalchemy.select(sqlalchemy.func.count()).where(events.c.event_type == "it's")
        assert connection.execute(chosen).scalar() == 0
    looked = sqlalchemy.inspect(engine)
    assert "attempts" in looked.get_table_names("hooklog")
    assert "event_id" in {column["name"] for column in looked.get_columns("events", "hooklog")}
    assert "hooklog" in looked.get_schema_names()
    engine.dispose()


def test_the_client_of_node_reads_streams_and_is_told_why(sql_port: SqlService, tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json", "ask.mjs"):
        shutil.copy(NODE / name, tmp_path)
    # Checked against the SHA-512 of the lock file.
    run([BIN / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], tmp_path)
    told = run([BIN / "node", "ask.mjs"], tmp_path, SQL_URL=sql_port.url, SQL_KEY=ADMIN_KEY)
    assert json.loads(told) == {
        "ping": True,
        "rows": [{"number": number, "text": "it's\ta %s", "many": ["a'b", "c"]} for number in range(2)],
        "whole": [{"n": 0}],
        "streamed": 50_000,
        "quoted": [{"n": "7"}],
        "unknown": "47 UNKNOWN_IDENTIFIER",
        "write": "164 READONLY",
        "insert": "164 READONLY",
        "lifted": "164 READONLY",
        "packed": 5_000,
    }


def test_curl_asks_in_each_way(sql_port: SqlService, tmp_path: Path) -> None:
    user = ["-u", f"{USER}:{ADMIN_KEY}"]
    url = sql_port.url
    assert curl(*user, f"{url}/?query=SELECT+1+AS+x&default_format=JSONEachRow") == '{"x":1}\n'
    assert curl(*user, f"{url}/?param_a=b", "-d", "SELECT {a:String} FORMAT CSV") == '"b"\n'
    assert curl(*user, url, "-F", "query=SELECT {a:UInt8} + 1", "-F", "param_a=1") == "2\n"
    assert (
        curl("-H", f"X-ClickHouse-User: {USER}", "-H", f"X-ClickHouse-Key: {ADMIN_KEY}", url, "-d", "SELECT 1") == "1\n"
    )
    query = tmp_path / "query.sql"
    query.write_text("SELECT number FROM numbers(2)")
    assert curl(f"{url}/?user={USER}&password={ADMIN_KEY}", "--data-binary", f"@{query}") == "0\n1\n"
    packed = curl(*user, "--compressed", f"{url}/?enable_http_compression=1", "-d", "SELECT number FROM numbers(2000)")
    assert packed.count("\n") == 2_000


def curl(*arguments: str) -> str:
    return run(["curl", "-sS", *arguments], Path.cwd())


def run(command: list[Any], folder: Path, **variables: str) -> str:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | variables
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
