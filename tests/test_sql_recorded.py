"""Tools that cannot be run here ask as they were recorded: JDBC's driver, which DBeaver has, and Grafana's plug-in.

Recorded from clickhouse-jdbc 0.9.4 and clickhouse-go 2.51.0, which the plug-in asks through, with gzip.
"""

import struct

import httpx
import pytest

from tests.projections_fixture import ADMIN_KEY
from tests.sql_port_fixture import USER, SqlService, sql_port
from tests.test_sql_port import unpacked

__all__ = ["sql_port"]

pytestmark = pytest.mark.stack

TABLES = (
    "SELECT '' AS TABLE_CAT, t.database AS TABLE_SCHEM, t.name AS TABLE_NAME, CASE WHEN t.engine LIKE '%Log' THEN "
    "'LOG TABLE' WHEN t.engine in ('Buffer', 'Memory', 'Set') THEN 'MEMORY TABLE' WHEN t.is_temporary != 0 THEN "
    "'TEMPORARY TABLE' WHEN t.engine like '%View' THEN 'VIEW'WHEN t.engine = 'Dictionary' THEN 'DICTIONARY' WHEN "
    "t.engine LIKE 'Async%' OR t.engine LIKE 'System%' THEN 'SYSTEM TABLE' WHEN empty(t.data_paths) THEN "
    "'REMOTE TABLE' ELSE 'TABLE' END AS TABLE_TYPE, t.comment AS REMARKS, null::Nullable(String) AS TYPE_CAT, "
    "d.engine AS TYPE_SCHEM, null::Nullable(String) AS TYPE_NAME, null::Nullable(String) AS "
    "SELF_REFERENCING_COL_NAME, null::Nullable(String) AS REF_GENERATION FROM system.tables t JOIN system.databases d "
    "ON system.tables.database = system.databases.name WHERE t.database LIKE 'hooklog' AND t.name LIKE '%' AND "
    "TABLE_TYPE IN ('DICTIONARY','LOG TABLE','MEMORY TABLE','REMOTE TABLE','TABLE','VIEW','SYSTEM TABLE',"
    "'TEMPORARY TABLE')"
)
SCHEMAS = "SELECT name AS TABLE_SCHEM, '' AS TABLE_CATALOG FROM system.databases ORDER BY name"
HELLO = "SELECT displayName(), version(), revision(), timezone()"


def jdbc(sql_port: SqlService, query: str, parameters: str) -> httpx.Response:
    headers = {
        "Content-Type": "text/plain",
        "X-ClickHouse-Format": "RowBinaryWithNamesAndTypes",
        "X-ClickHouse-Database": "hooklog",
    }
    return sql_port.send("POST", f"/?{parameters}", headers=headers, auth=(USER, ADMIN_KEY), content=query.encode())


@pytest.mark.parametrize("compress", ["0", "1"])
def test_the_driver_of_jdbc_connects_and_lists(sql_port: SqlService, compress: str) -> None:
    opening = jdbc(sql_port, "SELECT version() as server_version", f"compress={compress}&wait_end_of_query=1")
    body = unpacked(opening.content) if compress == "1" else opening.content
    assert body.startswith(b"\x01\x0eserver_version\x06String")
    # It takes an answer for empty that does not count its rows.
    assert '"result_rows":"1"' in opening.headers["x-clickhouse-summary"]
    later = f"query_id=162d832c-a259-4279-a964-2324a97fd4cb&async_insert=0&wait_end_of_query=0&compress={compress}"
    for query, found in ((SCHEMAS, b"hooklog"), (TABLES, b"attempts")):
        answer = jdbc(sql_port, query, later)
        assert answer.status_code == 200, answer.text
        assert found in (unpacked(answer.content) if compress == "1" else answer.content)
    limited = jdbc(sql_port, "SELECT 1", f"{later}&max_result_rows=200&result_overflow_mode=break")
    assert limited.status_code == 200


def test_a_path_may_be_asked_for_emptiness_and_nothing_else(sql_port: SqlService) -> None:
    assert sql_port.ask("SELECT countIf(empty(data_paths)) > 0 FROM system.tables").status_code == 200
    for query in (
        "SELECT empty(data_paths), data_paths FROM system.tables",
        "SELECT empty(arrayFilter(x -> x LIKE '/a%', data_paths)) FROM system.tables",
        "SELECT empty(data_paths[1]) FROM system.tables",
        "SELECT notEmpty(data_paths) FROM system.tables",
        "SELECT empty(x) FROM (SELECT data_paths AS x FROM system.tables)",
        "SELECT empty(data_paths AS x), x FROM system.tables",
    ):
        assert sql_port.ask(query).status_code == 403, query


def test_the_plug_in_of_grafana_connects_and_asks(sql_port: SqlService) -> None:
    path = "/?client_protocol_version=54460&database=default&default_format=Native&max_execution_time=60&limit=1000"
    asking = {"Accept-Encoding": "gzip", "User-Agent": "grafana/12.0.0 clickhouse-go/2.51.0 (lv:go/1.26.8; os:linux)"}

    def ask(query: str) -> httpx.Response:
        return sql_port.send("POST", path, headers=asking, auth=(USER, ADMIN_KEY), content=query.encode())

    packed = sql_port.send(
        "POST", f"{path}&compress=1&network_compression_method=lz4", auth=(USER, ADMIN_KEY), content=HELLO.encode()
    )
    block = ask(HELLO).content
    assert unpacked(packed.content) == block
    assert block[:10] == b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01"  # of its own revision: a head, 4 columns, 1 row
    assert struct.pack("<B13s", 13, b"displayName()") in block
    assert ask("SELECT 1").content == b"\x01\x01\x011\x05UInt8\x01"  # of revision 0: no head
    query = "SELECT toStartOfHour(received_at) AS time, count() FROM events GROUP BY time ORDER BY time"
    assert ask(query).status_code == 200
    refused = ask("DROP TABLE events")
    assert (refused.status_code, "(READONLY)" in refused.text) == (403, True)
