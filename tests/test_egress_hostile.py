"""Endpoints that never come to an end: each costs its attempt the total timeout or less, and next to no memory."""

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from processors.deliver.connection import MAX_STORED_BYTES
from processors.deliver.egress import Exchange
from tests.test_egress import Handler, client, post, read_request, serving

MIB = 1_048_576
DEADLINE_S = 20.0
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = b"x" * 65_536


def streaming(first: bytes, rest: Iterator[bytes], pause_s: float = 0.0) -> Handler:
    """Answers with these pieces, for as long as the client takes them."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        try:
            for piece in itertools.chain([first], rest):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except ConnectionError:
            pass
        finally:
            writer.close()

    return handler


async def ended(handler: Handler, timeout_s: float = 10.0) -> Exchange:
    async with asyncio.timeout(DEADLINE_S):
        return await post(handler, timeout_s=timeout_s)


FLOODS = {
    "a header line": (HEAD + b"X: ", itertools.repeat(BLOCK)),
    "header lines": (HEAD, itertools.repeat(b"A: b\r\n" * 1_000)),
    "a reason": (b"HTTP/1.1 200 ", itertools.repeat(BLOCK)),
    "interim answers": (b"", itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100)),
    "continues": (b"", itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
    "a chunk extension": (CHUNKED + b"1;", itertools.repeat(BLOCK)),
    "chunk extensions": (CHUNKED, itertools.repeat(b"1;a=b\r\nx\r\n" * 1_000)),
    "a chunk size": (CHUNKED, itertools.repeat(b"0" * 65_536)),
    "trailers": (CHUNKED + b"0\r\n", itertools.repeat(b"A: b\r\n" * 1_000)),
    "noise": (b"", itertools.repeat(b"\0\xff\x16\x03" * 10_000)),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_that_is_no_body_ends_in_a_failure(kind: str) -> None:
    first, rest = FLOODS[kind]
    assert (await ended(streaming(first, rest))).answer.error == "malformed_response"


BODIES = {
    "of 10 GB": (HEAD + b"Content-Length: 10000000000\r\n\r\n", itertools.repeat(BLOCK)),
    "in large chunks": (CHUNKED, itertools.repeat(b"10000\r\n" + BLOCK + b"\r\n")),
    "in one chunk": (CHUNKED + b"fffffffffff\r\n", itertools.repeat(BLOCK)),
    "until the end": (HEAD + b"\r\n", itertools.repeat(BLOCK)),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_without_end_is_an_answer_whose_beginning_is_kept(kind: str) -> None:
    first, rest = BODIES[kind]
    exchange = await ended(streaming(first, rest))
    assert exchange.answer.status_code == 200
    assert exchange.body == "x" * MAX_STORED_BYTES


DRIPS = {
    "a body": (HEAD + b"Content-Length: 100000\r\n\r\n", itertools.repeat(b"x")),
    "a head": (HEAD + b"X: ", itertools.repeat(b"x")),
    "interim answers": (b"", itertools.repeat(b"HTTP/1.1 102 Processing\r\n\r\n")),
    "chunks": (CHUNKED, itertools.repeat(b"1\r\nx\r\n")),
    "a chunk extension": (CHUNKED + b"1;", itertools.repeat(b"x")),
    "nothing after the head": (HEAD + b"Content-Length: 1\r\n\r\n", itertools.repeat(b"")),
}


@pytest.mark.parametrize("kind", DRIPS)
async def test_a_drip_ends_at_the_total_timeout(kind: str) -> None:
    first, rest = DRIPS[kind]
    assert (await ended(streaming(first, rest, 0.02), 1.0)).answer.error == "timeout"


LENGTHS = {
    "more than there is": (HEAD + b"Content-Length: 10\r\n\r\nshort", "malformed_response"),
    "two that differ": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "malformed_response"),
    "none that counts": (HEAD + b"Content-Length: 0x2\r\n\r\nab", "malformed_response"),
    "beyond any number": (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nab", "malformed_response"),
    "and chunks": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed_response"),
    "less than there is": (HEAD + b"Content-Length: 2\r\n\r\nab and more", ""),
}


@pytest.mark.parametrize("kind", LENGTHS)
async def test_a_length_that_is_wrong_is_a_failure_or_ends_the_connection(kind: str) -> None:
    raw, error = LENGTHS[kind]
    exchange = await ended(streaming(raw, iter(())))
    assert (exchange.answer.error, exchange.body) == (error, "" if error else "ab")


async def test_a_thousand_floods_hold_little_memory() -> None:
    floods = [*FLOODS.values(), *BODIES.values()]
    # Each server's own pieces are shared, so what is measured is what the client holds.
    handlers = itertools.cycle([streaming(first, rest) for first, rest in floods])

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(handlers)(reader, writer)

    async with serving(handler) as url, client() as egress:
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(10):
                await asyncio.gather(*(egress.post(url, [], b"{}", 10.0) for _ in range(100)))
            assert tracemalloc.get_traced_memory()[0] < 16 * MIB
        finally:
            tracemalloc.stop()
