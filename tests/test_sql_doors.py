"""Who may come in at the SQL port: each role, nobody after too many guesses, and over TLS, also when files change."""

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.certificates_fixture import Issued, issue
from tests.projections_fixture import ADMIN_KEY, until
from tests.sql_port_fixture import USER, SqlService

pytestmark = pytest.mark.stack


def test_who_keeps_sending_wrong_keys_is_turned_away_on_both_ports_and_others_are_not(tmp_path: Path) -> None:
    service = SqlService(tmp_path, trusted_proxies="127.0.0.1")
    service.start()

    client = httpx.Client(trust_env=False)

    def ask(address: str, key: str) -> httpx.Response:
        headers = {"X-Forwarded-For": address, "X-ClickHouse-User": USER, "X-ClickHouse-Key": key}
        return client.post(service.url, headers=headers, content=b"SELECT 1")

    def turned_away(ask_once: Callable[[], httpx.Response]) -> httpx.Response | None:
        answer = ask_once()  # as often as it takes: the allowance grows back while a slow machine guesses
        return answer if answer.status_code == 429 else None

    assert ask("203.0.113.9", "wrong").status_code == 403
    shut = until(lambda: turned_away(lambda: ask("203.0.113.9", "wrong")), "429")
    assert shut.headers["x-clickhouse-exception-code"] == "516"
    assert int(shut.headers["retry-after"]) > 0
    beside = {"X-Forwarded-For": "203.0.113.9", "Authorization": "Bearer wrong"}
    url = f"http://127.0.0.1:{service.query_port}/api/v1/logs/events"
    assert until(lambda: turned_away(lambda: client.get(url, headers=beside)), "429 beside").status_code == 429
    assert ask("203.0.113.10", ADMIN_KEY).text == "1\n"
    client.close()
    assert service.stop() == 0


def test_a_new_certificate_is_found_although_the_process_is_confined(tmp_path: Path) -> None:
    authority = issue("an authority", authority=True)
    files = tmp_path / "tls"
    files.mkdir()
    put(files, issue("first", authority, names=("127.0.0.1",)))
    trusted = ssl.create_default_context(cadata=authority.pem)
    service = SqlService(tmp_path, trusted, tls_cert=files / "cert.pem", tls_key=files / "key.pem")
    service.start()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{service.port}/ping", timeout=10)
    second = issue("second", authority, names=("127.0.0.1",))
    put(files, second)
    until(lambda: serial(service, trusted) == second.certificate.serial_number, "the new certificate")
    assert service.ask("SELECT 1").text == "1\n"
    assert service.stop() == 0


def put(folder: Path, served: Issued) -> None:
    """As tools that renew do: other files take the place."""
    for name, text in (("key.pem", served.key_pem), ("cert.pem", served.pem)):
        (folder / f"{name}.new").write_text(text)
        (folder / f"{name}.new").rename(folder / name)


def serial(service: SqlService, trusted: ssl.SSLContext) -> int:
    with httpx.Client(verify=trusted, trust_env=False) as client:
        stream = client.stream("GET", f"{service.url}/ping")
        with stream as answer:
            shown = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
            return int(shown["serialNumber"], 16)


def test_after_a_kill_it_is_back_confined_and_has_left_nothing_of_its_queries_behind(tmp_path: Path) -> None:
    service = SqlService(tmp_path)
    service.start()
    left = tmp_path / "data" / "clickhouse-inserts" / "of-a-killed-one"
    left.mkdir()
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(service.ask, "SELECT sum(sipHash64(number)) FROM numbers(100000000000)")
        until(asking.running, "the query")
        service.process.kill()
        service.process.wait(60)
        with pytest.raises(httpx.TransportError):
            asking.result(60)
    service.start()
    assert service.log().count('"event":"confined"') == 2
    assert not left.exists()
    assert service.ask("SELECT count() FROM events").text == "0\n"
    assert service.stop() == 0
