"""The delivery client against real servers that misbehave."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from processors.deliver.connection import MAX_STORED_BYTES
from processors.deliver.egress import Egress, Exchange
from rules.addresses import AddressPolicy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OPEN = ["127.0.0.0/8"]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A raw server; gives its URL."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


@asynccontextmanager
async def client(allowed: list[str] | None = None) -> AsyncIterator[Egress]:
    egress = Egress(AddressPolicy.of(OPEN if allowed is None else allowed), lambda: 1_800_000_000_000)
    await egress.start()
    try:
        yield egress
    finally:
        await egress.stop()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head, await reader.readexactly(length)


def answering(raw: bytes, *, close: bool = True) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()
        if close:
            writer.close()

    return handler


async def post(handler: Handler, *, timeout_s: float = 5.0, body: bytes = b"{}") -> Exchange:
    async with serving(handler) as url, client() as egress:
        return await egress.post(url, [("content-type", "application/json")], body, timeout_s)


async def test_any_bytes_arrive_as_they_are_with_no_header_that_was_not_asked_for() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    body = bytes(range(256)) * 10
    exchange = await post(handler, body=body)
    assert exchange.answer.status_code == 204
    head, received = seen[0]
    assert received == body
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
    assert names == {b"host", b"content-type", b"content-length"}


async def test_a_redirect_is_not_followed() -> None:
    exchange = await post(
        answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    )
    assert exchange.answer.status_code == 302
    assert not exchange.answer.success


async def test_a_large_answer_is_cut_and_its_beginning_kept() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 10000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            return

    exchange = await post(handler)
    assert exchange.answer.status_code == 500
    assert exchange.body == "x" * MAX_STORED_BYTES


async def test_an_answer_that_drips_ends_at_the_total_timeout() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            return

    started = time.monotonic()
    exchange = await post(handler, timeout_s=1.0)
    assert exchange.answer.error == "timeout"
    assert time.monotonic() - started < 4


async def test_a_server_that_never_answers_is_a_timeout() -> None:
    async def handler(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    assert (await post(handler, timeout_s=1.0)).answer.error == "timeout"


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"",
    ],
)
async def test_an_answer_that_is_none_is_a_failure_with_a_reason(raw: bytes) -> None:
    answer = (await post(answering(raw))).answer
    assert not answer.success
    assert answer.error in {"malformed_response", "disconnected", "connection_lost"}


async def test_a_port_where_nobody_listens_is_a_connect_failure() -> None:
    async with serving(answering(b"")) as url:
        pass
    async with client() as egress:
        assert (await egress.post(url, [], b"", 5.0)).answer.error == "connect"


async def test_a_name_that_does_not_exist_is_a_dns_failure() -> None:
    async with client() as egress:
        assert (await egress.post("http://nobody.invalid/", [], b"", 5.0)).answer.error == "dns"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "localhost",
        "LocalHost.",
        "any.localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "0",
        "127。0。0。1",
        "127\uff0e0\uff0e0\uff0e1",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.⓪.⓪.①",
        "ⓛocalhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "[::ffff:127.0.0.1%25lo]",
    ],
)
async def test_a_private_address_is_never_connected_to_however_it_is_spelt(host: str) -> None:
    connections: list[object] = []

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with serving(handler) as url, client([]) as egress:
        answer = (await egress.post(url.replace("127.0.0.1", host), [], b"", 5.0)).answer
    assert answer.error in {"address_refused", "invalid_url", "dns"}
    assert connections == []


async def test_a_kept_connection_that_the_server_closed_costs_no_attempt() -> None:
    requests = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read(1)  # the next request arrives, and is thrown away with the connection
        writer.close()

    async with serving(handler) as url, client() as egress:
        answers = [(await egress.post(url, [], b"x", 5.0)).answer.status_code for _ in range(2)]
    assert answers == [200, 200]
    assert requests == 2


async def test_a_new_connection_that_closes_without_an_answer_is_not_tried_again_at_once() -> None:
    requests = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.close()

    assert (await post(handler)).answer.error == "disconnected"
    assert requests == 1


async def test_cookies_of_one_answer_are_not_sent_with_the_next_request() -> None:
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        heads.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with serving(handler) as url, client() as egress:
        for _ in range(2):
            await egress.post(url, [], b"", 5.0)
    assert len(heads) == 2
    assert not any(b"cookie" in head.lower() for head in heads)


async def test_a_header_that_is_no_latin_1_is_sent_as_well_as_it_can_be() -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as url, client() as egress:
        assert (await egress.post(url, [("content-type", "text/☃")], b"", 5.0)).answer.success
