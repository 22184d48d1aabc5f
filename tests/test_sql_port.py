"""The SQL port speaks ClickHouse's HTTP interface: who may ask, how a query is said, and what an answer looks like."""

import base64
import gzip
import json
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import lz4.block
import pytest
from clickhouse_cityhash.cityhash import CityHash128

from projections.query.readers import SETTINGS
from projections.query.readonly import MAX_QUERY_CHARS
from projections.query.turns import HELD, MAX_WAIT_S, MAX_WAITING
from projections.sqlport.asked_settings import LOOKS
from projections.sqlport.formats import CONTENT_TYPES
from projections.sqlport.question import MAX_BODY_BYTES
from tests.projections_fixture import ADMIN_KEY, until
from tests.sql_port_fixture import USER, SqlService, sql_port

__all__ = ["sql_port"]

pytestmark = pytest.mark.stack

KEYED = {"X-ClickHouse-User": USER, "X-ClickHouse-Key": ADMIN_KEY}


def basic(user: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


def test_the_key_is_the_password_in_each_of_clickhouses_ways(sql_port: SqlService) -> None:
    asked = {"query": "SELECT 1"}
    assert sql_port.send(params=asked, headers=basic(USER, ADMIN_KEY)).text == "1\n"
    assert sql_port.send(params=asked, headers=KEYED).text == "1\n"
    assert sql_port.send(params=asked | {"user": USER, "password": ADMIN_KEY}).text == "1\n"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(USER, "wrong"),
        basic("default", ADMIN_KEY),
        basic("default", ""),
        KEYED | basic(USER, ADMIN_KEY),
        {"X-ClickHouse-User": USER},
        {"Authorization": f"Bearer {ADMIN_KEY}"},
        {"Authorization": "Basic ???"},
    ],
)
def test_nobody_asks_without_the_key(sql_port: SqlService, headers: dict[str, str]) -> None:
    refused = sql_port.send("POST", headers=headers, content=b"SELECT 1")
    assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (403, "516")
    assert refused.text.startswith("Code: 516. DB::Exception: ")
    assert refused.text.endswith("(AUTHENTICATION_FAILED)\n")
    assert ADMIN_KEY not in refused.text


def test_whether_somebody_is_there_is_told_without_a_key(sql_port: SqlService) -> None:
    for path in ("/ping", "/replicas_status", "/"):
        assert sql_port.send(path=path).text == "Ok.\n"
    assert sql_port.send("HEAD", "/ping").status_code == 200


def test_a_name_that_a_page_has_rebound_is_not_answered(sql_port: SqlService) -> None:
    assert sql_port.send(params={"query": "SELECT 1"}, headers=KEYED | {"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_can_try_no_key(sql_port: SqlService, sent: dict[str, str]) -> None:
    for key in (ADMIN_KEY, "wrong"):
        asked = {"user": USER, "password": key, "query": "SELECT 1"}
        refused = sql_port.send("POST", params=asked, headers=sent)
        assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (403, "497")


def test_a_page_that_comes_from_the_port_itself_may_ask(sql_port: SqlService) -> None:
    sent = {"Origin": f"http://127.0.0.1:{sql_port.port}", "Sec-Fetch-Site": "same-origin"}
    assert sql_port.send("POST", headers=KEYED | sent, content=b"SELECT 1").text == "1\n"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_and_paths_are_refused(sql_port: SqlService, method: str) -> None:
    assert sql_port.send(method, headers=KEYED).status_code == 405
    assert sql_port.send("POST", "/play", headers=KEYED, content=b"SELECT 1").status_code == 404


def test_the_url_and_the_body_are_one_query(sql_port: SqlService) -> None:
    assert sql_port.ask("FROM numbers(3)", query="SELECT sum(number)").text == "3\n"
    packed = {
        "gzip": gzip.compress(b"SELECT 2"),
        "deflate": zlib.compress(b"SELECT 2"),
    }
    for encoding, body in packed.items():
        answer = sql_port.send("POST", headers=KEYED | {"Content-Encoding": encoding}, content=body)
        assert answer.text == "2\n"
    form = {"query": "SELECT {n:UInt8} + 1", "param_n": "2"}
    files = {name: (None, value.encode()) for name, value in form.items()}
    assert sql_port.send("POST", headers=KEYED, files=files).text == "3\n"


@pytest.mark.parametrize(
    ("kind", "sent", "shown"),
    [
        ("String", r"a\tb\'c%s", r"a\tb\'c%s"),
        ("Array(String)", r"['x','b\'c']", r"['x','b\'c']"),
        ("Nullable(String)", r"\N", r"\N"),
        ("DateTime64(3)", "2026-01-02 03:04:05.678", "2026-01-02 03:04:05.678"),
        ("String", "') FROM file('/etc/hostname') --", r"\') FROM file(\'/etc/hostname\') --"),
    ],
)
def test_a_value_travels_as_clickhouse_writes_it(sql_port: SqlService, kind: str, sent: str, shown: str) -> None:
    answer = sql_port.ask(f"SELECT {{v:{kind}}}", param_v=sent, param_unused="%s {v:String}")
    assert answer.text == shown + "\n"


def test_the_format_is_that_of_the_query_then_of_the_url_then_of_the_header(sql_port: SqlService) -> None:
    assert json.loads(sql_port.ask("SELECT 1 AS n FORMAT JSONEachRow", default_format="CSV").text) == {"n": 1}
    assert sql_port.ask("SELECT 'a'", default_format="CSV").text == '"a"\n'
    header = sql_port.send("POST", headers=KEYED | {"X-ClickHouse-Format": "CSV"}, content=b"SELECT 'a'")
    assert (header.text, header.headers["x-clickhouse-format"]) == ('"a"\n', "CSV")
    assert sql_port.ask("SELECT 1 FORMAT Template").headers["x-clickhouse-exception-code"] == "73"


@pytest.mark.parametrize("form", CONTENT_TYPES)
def test_a_format_can_be_named_in_the_query(sql_port: SqlService, form: str) -> None:
    answer = sql_port.ask(f"SELECT 1 AS n FORMAT {form}")
    assert (answer.status_code, answer.headers["x-clickhouse-format"]) == (200, form), answer.text


def test_an_answer_says_what_it_is(sql_port: SqlService) -> None:
    answer = sql_port.ask("SELECT 1", query_id="mine-1")
    assert answer.headers["x-clickhouse-query-id"] == "mine-1"
    assert int(json.loads(answer.headers["x-clickhouse-summary"])["elapsed_ns"]) > 0
    assert answer.headers["content-type"] == "text/tab-separated-values; charset=UTF-8"
    assert answer.headers["cache-control"] == "no-store"
    assert sql_port.ask("SELECT 1", query_id="a\r\nb: c").headers["x-clickhouse-query-id"] != "a"


def test_an_answer_is_packed_for_who_takes_it(sql_port: SqlService) -> None:
    many = "SELECT number FROM numbers(10000)"
    packed = sql_port.ask(many, enable_http_compression="1")
    assert (packed.headers["content-encoding"], packed.text.count("\n")) == ("gzip", 10_000)
    assert "content-encoding" not in sql_port.ask(many).headers


@pytest.mark.parametrize("count", [0, 1, 5_000, 90_000])
def test_blocks_are_clickhouses_own(sql_port: SqlService, count: int) -> None:
    query, how_many = "SELECT number, sipHash64(number) FROM numbers({n:UInt64}) FORMAT CSV", str(count)
    blocks = sql_port.ask(query, compress="1", enable_http_compression="1", param_n=how_many)
    assert "content-encoding" not in blocks.headers
    assert unpacked(blocks.content) == sql_port.ask(query, param_n=how_many).content


def unpacked(blocks: bytes) -> bytes:
    """As a client reads them: each block's checksum, sizes and LZ4."""
    plain = b""
    while blocks:
        checksum, method, packed_bytes, plain_bytes = struct.unpack("<16sBII", blocks[:25])
        block, blocks = blocks[16 : 16 + packed_bytes], blocks[16 + packed_bytes :]
        hashed = CityHash128(block)
        assert (method, checksum) == (0x82, struct.pack("<QQ", hashed >> 64, hashed & (1 << 64) - 1))
        plain += lz4.block.decompress(block[9:], uncompressed_size=plain_bytes)
    return plain


def test_what_cannot_be_done_is_said_and_not_half_done(sql_port: SqlService) -> None:
    refused = sql_port.ask("SELECT 1", decompress="1")
    assert (refused.status_code, "send decompress=0" in refused.text) == (501, True)
    assert sql_port.ask("SELECT 1", database="system").headers["x-clickhouse-exception-code"] == "81"
    assert sql_port.ask("SELECT 1", database="default", session_id="a").text == "1\n"
    twice = sql_port.send("POST", "/?query=SELECT+1&query=SELECT+2", headers=KEYED)
    assert (twice.status_code, "twice" in twice.text) == (400, True)
    part = {"query": (None, b"SELECT 1"), "_external": (None, b"x")}
    assert sql_port.send("POST", headers=KEYED, files=part).status_code == 501
    assert sql_port.send("POST", headers=KEYED | {"Content-Encoding": "zstd"}, content=b"x").status_code == 501
    for body in (b"", b"  ", b"SELECT '\xff'"):
        assert sql_port.send("POST", headers=KEYED, content=body).status_code == 400


def test_an_error_is_clickhouses_own(sql_port: SqlService) -> None:
    wrong = sql_port.ask("SELECT nothing FROM events")
    assert (wrong.status_code, wrong.headers["x-clickhouse-exception-code"]) == (400, "47")
    assert wrong.text.startswith("Code: 47. DB::Exception: Unknown expression identifier `nothing`")
    assert "(UNKNOWN_IDENTIFIER)" in wrong.text
    assert sql_port.ask("SELECT * FROM nothing").status_code == 404
    late = sql_port.ask("SELECT count() FROM numbers(1000000000000) WHERE rand() % 7 = 3", max_execution_time="1")
    assert (late.status_code, late.headers["x-clickhouse-exception-code"]) == (408, "159")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"x"),
        ("multipart/form-data; boundary=a", b"--a\r\nno header\r\n\r\nSELECT 1\r\n--a--\r\n"),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: form-data\r\n\r\nSELECT 1\r\n--a--\r\n"),
        (
            "multipart/form-data; boundary=a; charset=nothing",
            b'--a\r\nContent-Disposition: form-data; name="x"\r\n\r\n1',
        ),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="query"; filename="q.sql"\r\n\r\nSELECT 1\r\n--a--\r\n',
        ),
        ("multipart/form-data; boundary=" + "a" * 300, b"--" + b"a" * 300 + b"\r\n\r\n"),
    ],
)
def test_what_is_no_form_is_refused(sql_port: SqlService, kind: str, body: bytes) -> None:
    answer = sql_port.send("POST", headers=KEYED | {"Content-Type": kind}, content=body)
    assert answer.status_code == 400, answer.text


def test_a_part_of_a_packed_query_is_not_run(sql_port: SqlService) -> None:
    packer = zlib.compressobj(wbits=31)
    begun = packer.compress(b"SELECT 1 ") + packer.flush(zlib.Z_SYNC_FLUSH)
    for body in (begun, gzip.compress(b"SELECT 1 ") + gzip.compress(b"+ 1")):
        refused = sql_port.send("POST", headers=KEYED | {"Content-Encoding": "gzip"}, content=body)
        assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (400, "36")
    whole = begun + packer.compress(b"+ 1") + packer.flush()
    assert sql_port.send("POST", headers=KEYED | {"Content-Encoding": "gzip"}, content=whole).text == "2\n"


def test_a_body_has_an_end(sql_port: SqlService) -> None:
    long = sql_port.send("POST", headers=KEYED, content=b"SELECT 1" + b" " * MAX_BODY_BYTES)
    assert (long.status_code, long.headers["x-clickhouse-exception-code"]) == (413, "223")
    bomb = gzip.compress(b"SELECT 1" + b" " * 50_000_000)
    assert sql_port.send("POST", headers=KEYED | {"Content-Encoding": "gzip"}, content=bomb).status_code == 413
    assert sql_port.ask("SELECT 1" + " " * MAX_QUERY_CHARS).status_code == 403
    form = {f"param_{number}": (None, b"x" * 20_000) for number in range(90)}
    assert sql_port.send("POST", headers=KEYED, files=form).status_code in {400, 413}


def test_who_gives_up_waiting_has_no_query_run(sql_port: SqlService) -> None:
    def figure(name: str) -> float:
        text = httpx.get(f"http://127.0.0.1:{sql_port.query_port}/metrics", trust_env=False).text
        return sum(float(found) for found in re.findall(rf"^hooklog_sql_{name}\S* (\S+)$", text, re.MULTILINE))

    long, before = "SELECT count() FROM numbers(100000000000) WHERE rand() % 7 = 3", figure("answers_total")
    with ThreadPoolExecutor(HELD + 1) as analysts:
        held = [analysts.submit(sql_port.ask, long, max_execution_time="2") for _ in range(HELD + 1)]
        until(lambda: figure("waiting") == 1, "a queue")
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(sql_port.url, auth=(USER, ADMIN_KEY), content=b"SELECT 1", timeout=0.5, trust_env=False)
        assert {each.result(60).status_code for each in held} == {408}
    assert sql_port.ask("SELECT 1").status_code == 200
    assert figure("answers_total") == before + HELD + 2


def test_what_the_document_shows_runs_and_the_limits_that_it_tells_are_these(sql_port: SqlService) -> None:
    text = (Path(__file__).parent.parent / "docs" / "sql.md").read_text()
    shown = re.findall(r'^    hooklog sql (?:--param (\w+)=(\S+) )?"(.*)"$', text, re.MULTILINE)
    assert len(shown) >= 5
    for name, value, query in shown:
        answer = sql_port.ask(query, **({f"param_{name}": value} if name else {}))
        assert answer.status_code == 200, (query, answer.text)
    told = f"| {SETTINGS['max_result_rows']:,} rows, {SETTINGS['max_result_bytes'] // 10**6} MB |"
    for fact in (told, f"{MAX_QUERY_CHARS:,} characters", f"{MAX_WAITING} wait, {MAX_WAIT_S:g} s at most"):
        assert fact in text, fact


LOOKED_AT = {"date_time_output_format": "iso", "result_overflow_mode": "break", "session_timezone": "Europe/Berlin"}


@pytest.mark.parametrize("setting", LOOKS)
def test_whatever_a_request_may_set_is_answered_and_keeps_nothing_from_being_looked_at(
    sql_port: SqlService, setting: str
) -> None:
    method = "zstd" if setting.endswith("_method") else "1"
    asked = {setting: LOOKED_AT.get(setting, method)}
    assert sql_port.ask("SELECT 'a'", **asked).text.split() == ["a"]
    refused = sql_port.ask("SELECT 1 FROM numbers(3) AS n, (SELECT 1 AS a) AS x, system.macros", **asked)
    assert "the table system.macros cannot be read here" in refused.text


def test_limits_can_be_lowered_and_never_lifted(sql_port: SqlService) -> None:
    shown = "SELECT value FROM system.settings WHERE name = {name:String}"
    for name, ours in (("max_execution_time", "20"), ("max_memory_usage", "1000000000"), ("max_result_rows", "100000")):
        for asked, then in ((str(int(ours) // 2), str(int(ours) // 2)), ("0", ours), ("99999999999", ours)):
            answer = sql_port.ask(shown, param_name=name, **{name: asked})
            assert answer.text == then + "\n", (name, asked)
    assert sql_port.ask(shown, param_name="readonly", readonly="2").text == "1\n"
    zoned = sql_port.ask("SELECT toDateTime(0)", session_timezone="Europe/Berlin")
    assert zoned.text == "1970-01-01 01:00:00\n"
