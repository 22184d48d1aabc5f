"""How the delivery client keeps, chooses and ends connections, against real servers."""

import asyncio
import datetime as dt
import gc
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from processors.deliver.connection import Connection
from processors.deliver.egress import Egress
from rules.addresses import AddressPolicy
from tests.test_egress import Handler, client, post, read_request, serving

DEADLINE_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Counting:
    """A server that answers each request of a connection with the next of these, and counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head, _ = await read_request(reader)
                self.heads.append(head)
                writer.write(self.answers.pop(0))
                await writer.drain()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()


async def statuses(handler: Handler, count: int = 2, url_of: Callable[[str], str] = str) -> list[int]:
    async with serving(handler) as url, client() as egress:
        return [(await egress.post(url_of(url), [], b"x", 5.0)).answer.status_code for _ in range(count)]


async def test_a_connection_is_used_again() -> None:
    server = Counting(OK, OK, OK)
    assert await statuses(server, 3) == [200, 200, 200]
    assert server.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n",
        OK + OK,
        OK + b"HTTP/1.1 2",
        OK + b"garbage",
        b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000,
    ],
)
async def test_a_connection_that_cannot_be_trusted_with_a_second_request_is_not_used_again(first: bytes) -> None:
    server = Counting(first, OK)
    assert await statuses(server) == [200, 200]
    assert server.connections == 2


async def test_a_body_that_was_answered_before_it_was_sent_meets_no_other_request() -> None:
    # Else a server that does not read on would take the rest for requests, and the sender of the event wrote it.
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        while await reader.read(65_536):
            pass
        writer.close()

    async with serving(handler) as url, client() as egress:
        for _ in range(2):
            exchange = await egress.post(url, [], b"x" * 20_000_000, 5.0)  # more than any socket takes
            assert exchange.answer.status_code == 413
    assert connections == 2


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
async def test_every_kind_of_complete_answer_leaves_its_connection_usable(first: bytes) -> None:
    server = Counting(first, OK)
    assert (await statuses(server))[1] == 200
    assert server.connections == 1


@pytest.mark.parametrize("coding", [b"", b"Transfer-Encoding: identity\r\n"])
async def test_a_body_without_a_length_ends_with_its_connection(coding: bytes) -> None:
    exchange = await post(Counting(b"HTTP/1.1 400 No\r\n%b\r\nnot like this" % coding))
    assert exchange.answer.status_code == 400
    assert exchange.body == "not like this"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_an_answer_without_measure_is_a_failure(raw: bytes) -> None:
    assert (await post(Counting(raw))).answer.error == "malformed_response"


async def test_when_to_come_again_is_told_as_the_final_answer_says() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    final = b"HTTP/1.1 503 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
    assert (await post(Counting(interim + final))).answer.retry_after == "120"
    assert (await post(Counting(interim + OK))).answer.retry_after == ""


async def test_a_line_break_in_a_header_begins_no_other_header() -> None:
    server = Counting(OK)
    async with serving(server) as url, client() as egress:
        await egress.post(url, [("content-type", "a\r\nx-forged: 1")], b"", 5.0)
    assert b"\r\nx-forged" not in server.heads[0]
    assert b"content-type: a  x-forged: 1\r\n" in server.heads[0]


async def test_answers_never_meet_another_request_than_their_own() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                _, body = await read_request(reader)
                await asyncio.sleep(int(body) % 7 / 1_000)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (EOFError, ConnectionError):
            writer.close()

    async def one(egress: Egress, url: str, number: int) -> None:
        asking = asyncio.create_task(egress.post(url, [], b"%d" % number, 5.0))
        if number % 5 == 0:
            await asyncio.sleep(0.003)
            asking.cancel()  # as a worker that leaves does
            return
        assert (await asking).body == str(number)

    async with serving(handler) as url, client() as egress:
        for _ in range(5):
            await asyncio.gather(*(one(egress, url, number) for number in range(100)))


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
async def test_a_failed_request_is_let_go_of_at_once(answer: bytes) -> None:
    # The services let Python's cycle collector look seldom: what keeps itself would stay, with its body.
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        writer.close()

    async with serving(handler) as url, client() as egress:
        gc.collect()
        gc.disable()
        try:
            tracemalloc.start()
            for _ in range(20):
                assert (await egress.post(url, [], b"x" * 1_000_000, 5.0)).answer.error
            await asyncio.sleep(0)
            assert tracemalloc.get_traced_memory()[0] < 8_000_000
        finally:
            tracemalloc.stop()
            gc.enable()


@pytest.mark.parametrize("kept", ["close", "keep-alive"])
async def test_nothing_is_left_of_a_connection_that_ended(kept: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: %b\r\nContent-Length: 0\r\n\r\n" % kept.encode()

    def alive() -> list[Connection]:
        return [one for one in gc.get_objects() if isinstance(one, Connection)]

    async with serving(Counting(answer)) as url, client() as egress:
        gc.collect()
        gc.disable()
        try:
            before = len(alive())
            assert (await egress.post(url, [], b"x", 5.0)).answer.success
            async with asyncio.timeout(DEADLINE_S):
                while len(alive()) > before or egress._connections._by_key:  # type: ignore[union-attr]
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def test_the_next_address_of_a_name_is_tried_when_one_refuses() -> None:
    # localhost is ::1 and 127.0.0.1 nearly everywhere, and the server listens on the latter alone.
    async with serving(Counting(OK)) as url, client(["127.0.0.0/8", "::1/128"]) as egress:
        exchange = await egress.post(url.replace("127.0.0.1", "localhost"), [], b"", 5.0)
    assert exchange.answer.status_code == 200


@pytest.mark.parametrize("url", ["", "http://", "ftp://127.0.0.1/", "http://[::1/", "http://127.0.0.1:99999/"])
async def test_a_url_that_leads_nowhere_is_a_failure_with_a_reason(url: str) -> None:
    async with client() as egress:
        assert (await egress.post(url, [], b"", 5.0)).answer.error in {"invalid_url", "connect"}


def certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(("name", "expected"), [("localhost", ""), ("elsewhere.example", "tls_wrong_host")])
async def test_a_certificate_must_be_for_the_name_although_an_address_is_connected_to(
    tmp_path: Path, name: str, expected: str
) -> None:
    file = certificate(tmp_path, name)
    serving_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving_tls.load_cert_chain(file)
    trusting = ssl.create_default_context(cafile=str(file))
    egress = Egress(AddressPolicy.of(["127.0.0.0/8"]), lambda: 0, authorities=trusting)
    server = await asyncio.start_server(Counting(OK, OK), "127.0.0.1", 0, ssl=serving_tls)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    await egress.start()
    async with server:
        errors = [(await egress.post(url, [], b"", 5.0)).answer.error for _ in range(2)]
        await egress.stop()
    assert errors == [expected, expected]


async def test_an_endpoint_that_speaks_no_tls_is_a_tls_failure() -> None:
    async with serving(Counting(b"nonsense")) as url, client() as egress:
        answer = (await egress.post(url.replace("http:", "https:"), [], b"", 3.0)).answer
    assert answer.error in {"tls_handshake", "connect", "connect_timeout"}
