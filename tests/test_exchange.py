"""An answer on the short way is, byte for byte, what uvicorn makes of the same messages."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ingest.exchange import READY_BODY, Exchange

POST = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi"
JSON = [(b"content-type", b"application/json")]


class ShortWay(HttpToolsProtocol):
    """uvicorn's protocol, and nothing else changed."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override] # as there
        super()._start_asgi_task(cycle, Exchange(cycle, app))  # type: ignore[arg-type] # as there


class Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Wire:
    """One connection, of uvicorn's own protocol or of ours, to an application."""

    def __init__(self, kind: type[HttpToolsProtocol], app: ASGIApp) -> None:
        config = uvicorn.Config(app, http=kind, ws="none", lifespan="off", access_log=False, log_config=None)
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        self.pipe = Pipe()
        self.protocol = kind(config, state, {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.pipe)
        self._state = state

    async def send(self, *parts: bytes) -> None:
        """Gives it bytes, and lets the application come to its end, or to where it waits."""
        for part in parts:
            self.protocol.data_received(part)
            for _ in range(10):
                await asyncio.sleep(0)

    def end(self) -> None:
        self.protocol.connection_lost(None)


async def answered(kind: type[HttpToolsProtocol], messages: Sequence[Message], *parts: bytes) -> tuple[bytes, bool]:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    wire = Wire(kind, app)
    await wire.send(*parts)
    seen = b"".join(wire.pipe.written), wire.pipe.closed
    wire.end()
    return seen


def start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def sized(body: bytes) -> list[tuple[bytes, bytes]]:
    return [*JSON, (b"content-length", b"%d" % len(body))]


bodies = st.binary(max_size=40)
some_headers: st.SearchStrategy[list[tuple[bytes, bytes]]] = st.one_of(
    bodies.map(sized),
    st.just(list[tuple[bytes, bytes]]()),
    st.just([*JSON]),
    st.just([(b"content-length", b"3"), (b"connection", b"close")]),
    st.just([(b"transfer-encoding", b"chunked")]),
)


@given(
    status=st.sampled_from([200, 202, 204, 403, 503]),
    headers=some_headers,
    pieces=st.lists(bodies, min_size=1, max_size=3),
    method=st.sampled_from([b"POST", b"GET", b"HEAD"]),
    version=st.sampled_from([b"1.1", b"1.0"]),
)
def test_whatever_an_application_answers_is_written_as_by_uvicorn(
    status: int, headers: list[tuple[bytes, bytes]], pieces: list[bytes], method: bytes, version: bytes
) -> None:
    parts: list[Message] = [{"type": "http.response.body", "body": piece, "more_body": True} for piece in pieces]
    parts[-1]["more_body"] = False
    request = POST.replace(b"POST", method).replace(b"1.1", version)
    messages = [start(status, headers), *parts]

    async def both() -> None:
        assert await answered(ShortWay, messages, request) == await answered(HttpToolsProtocol, messages, request)

    asyncio.run(both())


async def test_an_event_is_answered_with_one_write() -> None:
    body = b'{"status":"QUEUED"}'

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(start(202, sized(body)))
        await send({"type": "http.response.body", "body": body})

    wire = Wire(ShortWay, app)
    await wire.send(POST, POST)
    assert [written.count(b"HTTP/1.1 202") for written in wire.pipe.written] == [1, 1]
    wire.end()


@pytest.mark.parametrize("parts", [(POST,), (POST[:-2], b"h", b"i"), (POST[:-1], b"i"), tuple(POST.partition(b"\r\n"))])
async def test_a_body_is_given_whole_and_then_the_end_of_the_connection(parts: tuple[bytes, ...]) -> None:
    received: list[dict[str, Any]] = []

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        while not received or received[-1]["type"] == "http.request":
            received.append(dict(await receive()))

    wire = Wire(ShortWay, app)
    await wire.send(*parts)
    assert b"".join(message.get("body", b"") for message in received) == b"hi"
    assert not received[-1]["more_body"]
    wire.end()
    await wire.send()
    for _ in range(5):
        await asyncio.sleep(0)
    assert received[-1]["type"] == "http.disconnect"


async def test_who_asks_before_sending_is_told_to_go_on() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        await send(start(200, sized(body)))
        await send({"type": "http.response.body", "body": body})

    wire = Wire(ShortWay, app)
    await wire.send(POST[:-2].replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
    assert wire.pipe.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    await wire.send(b"hi")
    assert wire.pipe.written[-1].endswith(b"\r\n\r\nhi")
    wire.end()


async def test_a_request_leaves_nothing_for_the_collector() -> None:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        body = scope[READY_BODY]()
        await send(start(202, sized(body)))
        await send({"type": "http.response.body", "body": body})

    wire = Wire(ShortWay, app)
    requests = 100
    await wire.send(*[POST] * requests)  # what is made once
    gc.collect()
    gc.disable()
    try:
        await wire.send(*[POST] * requests)
        left = gc.collect()
    finally:
        gc.enable()
    wire.end()
    assert len(wire.pipe.written) == 2 * requests
    assert left < requests
