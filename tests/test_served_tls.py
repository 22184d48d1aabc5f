"""Ingest over TLS, with real certificates and real connections; what is asked for here needs no Kafka."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from ingest.app import IngestService
from ingest.guarded_protocol import HEAD_DEADLINE_S
from ingest.server import raise_open_files_limit
from rules.request_head import MAX_HEAD_BYTES
from runtime.embedded.broker_files import free_port
from runtime.settings import Settings
from runtime.tls_files import HANDSHAKE_S, TlsFiles, UnusableTlsFilesError
from tests.certificates_fixture import DAY, Issued, issue
from tests.ingest_fixture import ADMIN_KEY, KEYS, LoopThread, wait_until

PATIENCE_S = 2 * max(HANDSHAKE_S, HEAD_DEADLINE_S)
MANY = 2_000
HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
AUTHORITY = issue("an authority", authority=True)
OTHERS = issue("another authority", authority=True)


def put(folder: Path, served: Issued) -> None:
    """Puts a certificate and its key where they are served from, as whoever renews them does: one after the other."""
    for name, text in (("cert.pem", served.pem), ("key.pem", served.key_pem)):
        (folder / f"{name}.new").write_text(text)
        (folder / f"{name}.new").rename(folder / name)


def named(name: str) -> Issued:
    return issue(name, AUTHORITY, names=("localhost", "127.0.0.1"))


@dataclass
class Served:
    """A running ingest, and the folder of its files."""

    port: int
    folder: Path

    def trusting(self, shown: Issued | None = None) -> ssl.SSLContext:
        """A client's context."""
        context = ssl.create_default_context(cadata=AUTHORITY.pem)
        if shown is not None:
            file = self.folder / f"{shown.certificate.serial_number}.pem"
            file.write_text(shown.key_pem + shown.pem)
            context.load_cert_chain(file)
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A connection after its handshake."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return (context or self.trusting()).wrap_socket(plain, server_hostname="localhost")

    def subject(self) -> str:
        """Whose certificate a new connection is shown."""
        with self.connect() as connection:
            certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
            return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    def ends_at(self) -> float:
        """The metric."""
        text = httpx.get(f"https://localhost:{self.port}/metrics", verify=self.trusting()).text
        name = "hooklog_tls_certificate_expires_seconds "
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        return float(line.removeprefix(name))


def serve(folder: Path, **settings: object) -> Iterator[Served]:
    put(folder, named("first"))
    port = free_port()
    service = IngestService(
        Settings(
            data_dir=folder / "data",
            kafka_bootstrap="127.0.0.1:9",
            admin_key=ADMIN_KEY,
            encryption_keys=KEYS,
            ingest_port=port,
            tls_cert=folder / "cert.pem",
            tls_key=folder / "key.pem",
            **settings,  # type: ignore[arg-type]
        )
    )
    thread = LoopThread(service.serve())
    try:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield Served(port, folder)
    finally:
        service.server.should_exit = True
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Ingest with a certificate."""
    yield from serve(tmp_path)


@pytest.fixture
def members_only(tmp_path: Path) -> Iterator[Served]:
    """Ingest that asks its clients for a certificate."""
    (tmp_path / "clients.pem").write_text(AUTHORITY.pem)
    yield from serve(tmp_path, tls_client_ca=tmp_path / "clients.pem")


def exchange(connection: socket.socket, request: bytes = HEALTH) -> bytes:
    connection.sendall(request)
    received = b""
    while not received.endswith(b"}"):
        chunk = connection.recv(65_536)
        assert chunk, received
        received += chunk
    return received


def ask(served: Served, shown: Issued | None) -> bytes:
    """An answer; in TLS 1.3 a client learns only after its handshake that it is refused."""
    with served.connect(served.trusting(shown)) as connection:
        connection.sendall(HEALTH)
        received = connection.recv(65_536)
    if not received:
        raise ConnectionResetError("closed without an answer")
    return received


def rest(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except (ssl.SSLEOFError, ConnectionResetError):
        pass  # also a way to hang up
    return received


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # that they are deprecated is the point
def test_it_answers_over_tls_and_to_plain_http_with_nothing_and_at_once(served: Served) -> None:
    with served.connect() as connection:
        assert exchange(connection).startswith(b"HTTP/1.1 200 ")
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}
    with socket.create_connection(("127.0.0.1", served.port), timeout=HANDSHAKE_S / 2) as plain:
        plain.sendall(HEALTH)
        assert b"HTTP" not in rest(plain)
    older = served.trusting()
    older.set_ciphers("ALL:@SECLEVEL=0")
    older.minimum_version, older.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        served.connect(older)


def test_slow_handshakes_silent_connections_and_endless_heads_are_ended(served: Served) -> None:
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as no_handshake,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as half_a_handshake,
        served.connect() as silent,
        served.connect() as dripping,
        served.connect() as endless,
        served.connect() as idle,
    ):
        half_a_handshake.sendall(b"\x16\x03\x01\x02\x00\x01")
        dripping.sendall(HEALTH[:-4] + b"\r\nx-")
        assert exchange(idle).startswith(b"HTTP/1.1 200 ")
        endless.sendall(HEALTH[:-2] + b"x: " + b"x" * MAX_HEAD_BYTES)
        assert rest(endless).startswith(b"HTTP/1.1 431 ")
        assert rest(dripping).startswith(b"HTTP/1.1 408 ")
        assert [rest(each) for each in (silent, no_handshake, half_a_handshake)] == [b""] * 3
        assert exchange(idle).startswith(b"HTTP/1.1 200 ")


def test_who_shows_no_certificate_of_the_authority_gets_no_answer(members_only: Served) -> None:
    member = issue("a sender", AUTHORITY)
    assert ask(members_only, member).startswith(b"HTTP/1.1 200 ")
    for stranger in (None, issue("a stranger", OTHERS), issue("late", AUTHORITY, begins=-2 * DAY, ends=-DAY)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(members_only, stranger)


def test_a_new_certificate_is_served_soon_and_what_is_open_stays_open(served: Served) -> None:
    with served.connect() as before:
        assert exchange(before).startswith(b"HTTP/1.1 200 ")
        assert served.subject() == "first"
        second = issue("second", AUTHORITY, names=("localhost",), ends=7 * DAY)
        put(served.folder, second)
        wait_until(lambda: served.subject() == "second")
        assert exchange(before).startswith(b"HTTP/1.1 200 ")
        assert served.ends_at() == second.certificate.not_valid_after_utc.timestamp()
        (served.folder / "cert.pem").write_text("not a certificate")
        (served.folder / "key.pem").unlink()
        assert served.subject() == "second"
        put(served.folder, named("third"))
        wait_until(lambda: served.subject() == "third")
        assert exchange(before).startswith(b"HTTP/1.1 200 ")


async def test_two_thousand_idle_connections_are_kept_and_the_next_one_is_answered(served: Served) -> None:
    raise_open_files_limit()
    context, writers = served.trusting(), []
    for _ in range(MANY // 50):
        opened = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", served.port, ssl=context) for _ in range(50))
        )
        for reader, writer in opened:  # the first request: from here on it is an idle connection, not a silent one
            writer.write(HEALTH)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            writers.append((reader, writer))
    for reader, writer in (writers[0], writers[-1]):
        writer.write(HEALTH)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
    for _, writer in writers:
        writer.transport.abort()


@pytest.mark.parametrize("broken", ["no key", "no certificate", "another's key", "encrypted key", "no authorities"])
def test_files_that_cannot_be_used_stop_the_start_with_the_variable(tmp_path: Path, broken: str) -> None:
    put(tmp_path, named("first"))
    files = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    if broken == "no key":
        del files["tls_key"]
    elif broken == "no certificate":
        files["tls_cert"].write_text("nothing")
    elif broken == "another's key":
        files["tls_key"].write_text(named("other").key_pem)
    elif broken == "encrypted key":
        files["tls_key"].write_text(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
    else:
        files["tls_client_ca"] = tmp_path / "nowhere.pem"
    with pytest.raises(UnusableTlsFilesError, match="HOOKLOG_TLS_"):
        (TlsFiles.of(Settings(**files)) or pytest.fail("no TLS")).context()  # type: ignore[arg-type]
