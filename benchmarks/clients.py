"""What a signed POST costs with each HTTP client that deliveries could use, in one run and in turn.

    python -m benchmarks.clients [--json]

CPU of this process, its threads included, for a request of 1 KiB over a kept connection on loopback; the endpoint is a
process of its own and is not counted. Every round measures all of them one after the other, and a client's ratio is the
median of its ratios to ours in the same rounds: that holds on a machine that others use, where microseconds do not. A
client that is not installed is left out: `pip install httpx-aiohttp pyreqwest`.
"""

import argparse
import asyncio
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import httpx
import uvloop

from benchmarks.bare import Endpoint
from benchmarks.measure import Sink
from processors.deliver.egress import Egress
from rules.addresses import AddressPolicy
from rules.sign import standard_headers

Post = Callable[[], Awaitable[int]]
Client = Callable[[int], AbstractAsyncContextManager[Post]]

ROUNDS = 5
ROUND_S = 1.0
WARM_UP = 300
IN_FLIGHT = (1, 64, 256)
OURS = "ours"
BODY = (b'{"type":"order.created","data":"' + b"x" * 1_024)[:1_022] + b'"}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the Standard Webhooks specification
TIMEOUT_S = 15.0


def headers() -> list[tuple[str, str]]:
    """Signed now, as every delivery is."""
    return [("content-type", "application/json"), *standard_headers([SECRET], "bench", int(time.time()), BODY)]


def url_of(port: int) -> str:
    """The endpoint."""
    return f"http://127.0.0.1:{port}/ok/bench"


@asynccontextmanager
async def ours(port: int) -> AsyncIterator[Post]:
    """`Egress`, with everything that it checks."""
    egress, url = Egress(AddressPolicy.of(["127.0.0.0/8"]), lambda: 0), url_of(port)
    await egress.start()

    async def post() -> int:
        return (await egress.post(url, headers(), BODY, TIMEOUT_S)).answer.status_code

    yield post
    await egress.stop()


@asynccontextmanager
async def bare(port: int) -> AsyncIterator[Post]:
    """No client at all: a protocol that writes bytes and reads a status, and would hang, leak and follow anybody."""
    loop, free = asyncio.get_running_loop(), list[Endpoint]()

    async def post() -> int:
        endpoint = free.pop() if free else (await loop.create_connection(Endpoint, "127.0.0.1", port))[1]
        status = await endpoint.post(b"bench", BODY)
        free.append(endpoint)
        return status

    yield post
    for endpoint in free:
        endpoint._transport.abort()  # noqa: SLF001 - it has no end of its own


@asynccontextmanager
async def over_aiohttp(port: int) -> AsyncIterator[Post]:
    """The client of aiohttp."""
    url, timeout = url_of(port), aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=5)
    connector, no_cookies = aiohttp.TCPConnector(limit=0), aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=no_cookies, timeout=timeout) as session:

        async def post() -> int:
            async with session.post(url, data=BODY, headers=headers(), allow_redirects=False) as answer:
                await answer.read()
                return answer.status

        yield post


@asynccontextmanager
async def _with_httpx(port: int, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Post]:
    url = url_of(port)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT_S, trust_env=False) as client:

        async def post() -> int:
            return (await client.post(url, content=BODY, headers=headers())).status_code

        yield post


def httpx_alone(port: int) -> AbstractAsyncContextManager[Post]:
    """The client of httpx on its own pool, which looks at every connection for every request."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return _with_httpx(port, httpx.AsyncHTTPTransport(limits=limits, trust_env=False))


def httpx_over_aiohttp(port: int) -> AbstractAsyncContextManager[Post]:
    """The interface of httpx over aiohttp's connections: httpx over a fast transport."""
    transport: Any = importlib.import_module("httpx_aiohttp")
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
    return _with_httpx(port, transport.AiohttpTransport(client=session))


@asynccontextmanager
async def rust(port: int) -> AsyncIterator[Post]:
    """reqwest of Rust, through pyreqwest, its work in a thread of its own."""
    module: Any = importlib.import_module("pyreqwest.client")
    builder = module.ClientBuilder().follow_redirects(enable=False).no_proxy()
    client, url = builder.timeout(timedelta(seconds=TIMEOUT_S)).build(), url_of(port)

    async def post() -> int:
        answer = await client.post(url).headers(headers()).body_bytes(BODY).build().send()
        await answer.bytes()
        return int(answer.status)

    yield post
    await client.close()


CLIENTS: dict[str, tuple[Client, str]] = {
    OURS: (ours, ""),
    "bare protocol": (bare, ""),
    "Rust (pyreqwest)": (rust, "pyreqwest"),
    "aiohttp": (over_aiohttp, ""),
    "httpx over aiohttp": (httpx_over_aiohttp, "httpx_aiohttp"),
    "httpx": (httpx_alone, ""),
}
"""By name: how to make one, and the package that it needs beside ours."""


async def cpu_us(client: Client, port: int, in_flight: int) -> float:
    """Microseconds of CPU a request."""
    async with client(port) as post:
        done = 0

        async def sender(until: Callable[[], bool]) -> None:
            nonlocal done
            while not until():
                assert await post() == 200
                done += 1

        await asyncio.gather(*(sender(lambda: done >= WARM_UP) for _ in range(in_flight)))
        done, end, used = 0, time.monotonic() + ROUND_S, time.process_time()
        await asyncio.gather(*(sender(lambda: time.monotonic() > end) for _ in range(in_flight)))
        return (time.process_time() - used) / done * 1e6


def measured(port: int) -> dict[str, dict[int, tuple[float, float]]]:
    """By client and requests in flight: the medians of its microseconds, and of its ratio to ours."""
    there = {name: make for name, (make, needs) in CLIENTS.items() if not needs or importlib.util.find_spec(needs)}
    found: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in there}
    for in_flight in IN_FLIGHT:
        rounds: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            used = {}
            for name, make in there.items():
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    used[name] = runner.run(cpu_us(make, port, in_flight))
            rounds.append(used)
        for name in there:
            us = statistics.median(one[name] for one in rounds)
            found[name][in_flight] = (us, statistics.median(one[name] / one[OURS] for one in rounds))
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json: bool = parser.parse_args().json
    sink = Sink()
    try:
        found = measured(sink.port)
    finally:
        sink.close()
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    print(f"{'CPU µs a request (ratio to ours)':34}" + "".join(f"{f'{n} in flight':>18}" for n in IN_FLIGHT))
    for name, by_load in found.items():
        print(f"{name:34}" + "".join(f"{f'{us:.0f} ({ratio:.2f})':>18}" for us, ratio in by_load.values()))


if __name__ == "__main__":
    main()
