"""TLS as each subscription wants it, against real servers with certificates of every kind."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from processors.deliver.tls import MAX_CONTEXTS, TlsContexts, context_of
from schemas.tls import TlsSpec
from tests.certificates_fixture import DAY, Issued, issue
from tests.test_egress import client
from tests.test_egress_connections import OK, Counting

ROOT = issue("Our authority", authority=True)
OTHER = issue("Another authority", authority=True)
HOST = issue("localhost", ROOT, names=("localhost", "127.0.0.1"))
CLIENT = issue("hooklog", OTHER)
TRUSTING = TlsSpec(ca_pem=ROOT.pem)
SHOWING = TlsSpec(ca_pem=ROOT.pem, client_cert_pem=CLIENT.pem, client_key_pem=CLIENT.key_pem)


@asynccontextmanager
async def https(context: ssl.SSLContext, handler: Counting) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/"


async def outcome(context: ssl.SSLContext, settings: TlsSpec | None, *, host: str = "localhost") -> str:
    async with https(context, Counting(OK)) as url, client() as egress:
        exchange = await egress.post(url.replace("localhost", host), [], b"x", 5.0, settings)
    return exchange.answer.error or str(exchange.answer.status_code)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_an_authority_of_its_own_is_trusted_by_the_subscription_that_names_it(tmp_path: Path, host: str) -> None:
    assert await outcome(HOST.serving(tmp_path), TRUSTING, host=host) == "200"


@pytest.mark.parametrize("settings", [None, TlsSpec(ca_pem=OTHER.pem), TlsSpec(server_name="localhost")])
async def test_no_other_subscription_trusts_it(tmp_path: Path, settings: TlsSpec | None) -> None:
    assert await outcome(HOST.serving(tmp_path), settings) == "tls_unknown_authority"


async def test_connections_of_different_settings_are_never_shared(tmp_path: Path) -> None:
    endpoint = Counting(*[OK] * 9)
    both = TlsSpec(ca_pem=OTHER.pem + ROOT.pem)
    async with https(HOST.serving(tmp_path), endpoint) as url, client() as egress:
        for settings in (TRUSTING, both, TRUSTING, both, TlsSpec(ca_pem=ROOT.pem)):
            assert (await egress.post(url, [], b"", 5.0, settings)).answer.success
        assert (await egress.post(url, [], b"", 5.0)).answer.error == "tls_unknown_authority"
    assert len(endpoint.heads) == 5
    assert endpoint.connections == 2


@pytest.mark.parametrize(
    ("server", "trusted", "expected"),
    [
        (issue("old", ROOT, names=("localhost",), begins=-2 * DAY, ends=-DAY), ROOT, "tls_certificate_expired"),
        (issue("new", ROOT, names=("localhost",), begins=DAY), ROOT, "tls_certificate_not_yet_valid"),
        (issue("there", ROOT, names=("elsewhere.example",)), ROOT, "tls_wrong_host"),
        (issue("alone", names=("localhost",)), ROOT, "tls_unknown_authority"),
        (HOST, HOST, "200"),
    ],
)
async def test_a_certificate_that_is_not_right_is_told_by_what_is_wrong(
    tmp_path: Path, server: Issued, trusted: Issued, expected: str
) -> None:
    assert await outcome(server.serving(tmp_path), TlsSpec(ca_pem=trusted.pem)) == expected


async def test_a_certificate_for_an_inner_name_is_taken_when_that_name_is_asked_for(tmp_path: Path) -> None:
    asked: list[str | None] = []
    context = issue("inner", ROOT, names=("hooks.internal",)).serving(tmp_path)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    named = TlsSpec(ca_pem=ROOT.pem, server_name="hooks.internal")
    assert await outcome(context, named) == "200"
    assert await outcome(context, TRUSTING) == "tls_wrong_host"
    assert asked == ["hooks.internal", "localhost"]


class AskingServer:
    """An endpoint that asks who calls, in a thread: unlike asyncio's, it tells a client that it is refused."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listening.getsockname()[1]}/"
        self._closing = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            accepted, _ = self._listening.accept()
            if self._closing:
                accepted.close()
                return
            accepted.settimeout(10)
            with contextlib.suppress(OSError):  # a client may leave as it likes
                self._answer(accepted)

    def _answer(self, accepted: socket.socket) -> None:
        with self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
                secured.recv(65_536)
                secured.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            except ssl.SSLError:
                socket.socket.shutdown(secured, socket.SHUT_WR)
            while socket.socket.recv(secured, 65_536):
                pass  # unread bytes would take the alert with them

    def close(self) -> None:
        """Ends it."""
        self._closing = True
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("newest", "without"),
    [
        (ssl.TLSVersion.TLSv1_2, "tls_handshake"),  # which has no alert of its own for this
        (ssl.TLSVersion.TLSv1_3, "tls_client_certificate_refused"),
    ],
)
def test_an_endpoint_that_asks_who_calls_is_shown_the_certificate(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop], newest: ssl.TLSVersion, without: str
) -> None:
    context = HOST.serving(tmp_path, clients_of=OTHER)
    context.maximum_version = newest
    foreign = issue("hooklog", ROOT)
    other = TlsSpec(ca_pem=ROOT.pem, client_cert_pem=foreign.pem, client_key_pem=foreign.key_pem)
    server = AskingServer(context)

    async def one_each() -> list[str]:
        async with client() as egress:
            exchanges = [await egress.post(server.url, [], b"x", 5.0, one) for one in (SHOWING, TRUSTING, other)]
        return [exchange.answer.error for exchange in exchanges]

    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            assert runner.run(one_each()) == ["", without, "tls_client_certificate_refused"]
    finally:
        server.close()


async def test_settings_that_cannot_be_used_are_a_reason_and_end_with_the_settings(tmp_path: Path) -> None:
    assert await outcome(HOST.serving(tmp_path), TlsSpec(ca_pem="nonsense")) == "tls_settings"
    wrong_key = SHOWING.model_copy(update={"client_key_pem": ROOT.key_pem})
    assert await outcome(HOST.serving(tmp_path), wrong_key) == "tls_settings"


async def test_contexts_are_made_once_and_not_without_bound() -> None:
    contexts = TlsContexts(ssl.create_default_context())
    made = await asyncio.gather(*(contexts.of(TlsSpec(ca_pem=ROOT.pem)) for _ in range(20)))
    assert len(set(map(id, made))) == 1
    for number in range(MAX_CONTEXTS + 5):
        await contexts.of(TlsSpec(ca_pem=ROOT.pem, server_name=f"host{number}.example"))
    assert len(contexts._known) == MAX_CONTEXTS
    assert await contexts.of(TlsSpec(ca_pem=ROOT.pem)) is not made[0]


def test_the_key_is_nowhere_on_disk_in_the_clear_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    load = ssl.SSLContext.load_cert_chain

    def reading(context: ssl.SSLContext, certfile: str, **named: bytes) -> None:
        written.append(Path(certfile).read_bytes())
        load(context, certfile, **named)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", reading)
    context_of(SHOWING)
    assert b"ENCRYPTED PRIVATE KEY" in written[0]
    assert CLIENT.key_pem.encode() not in written[0]
    assert list(tmp_path.iterdir()) == []
