"""Limits against slow, silent and boundless senders, on real sockets."""

import asyncio
import socket
import time
from typing import Any

import httpx
import pytest

from ingest.body import LEAST_BYTES_PER_S, BodyBudget, BodyReader, SenderGoneError
from ingest.guarded_protocol import HEAD_DEADLINE_S
from ingest.redact import MAX_HEADERS, MAX_TOTAL_CHARS, kept_headers
from rules.rejection_cap import BURST, RATE_PER_S
from rules.request_head import MAX_HEAD_BYTES
from rules.request_headers import RequestHeaders
from runtime.problem import ProblemError
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, gateway

__all__ = ["gateway"]

HEAD = b"POST /api/v1/ingest/t HTTP/1.1\r\nhost: localhost\r\n"


def connect(gateway: Gateway) -> socket.socket:
    sender = socket.create_connection(("127.0.0.1", gateway.settings.ingest_port))
    sender.settimeout(HEAD_DEADLINE_S + 10)
    return sender


def answer(sender: socket.socket) -> bytes:
    received = b""
    while chunk := sender.recv(65_536):
        received += chunk
    return received


def get_health(sender: socket.socket) -> bytes:
    sender.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    received = b""
    while not received.endswith(b"}"):
        received += sender.recv(65_536)
    return received


def test_silent_and_dripping_connections_are_closed_and_idle_ones_are_kept(gateway: Gateway) -> None:
    with connect(gateway) as silent, connect(gateway) as slow, connect(gateway) as blank, connect(gateway) as idle:
        assert get_health(idle).startswith(b"HTTP/1.1 200 ")
        slow.sendall(HEAD + b"x-")
        blank.sendall(b"\r\n")
        assert answer(silent) == b""
        assert answer(slow).startswith(b"HTTP/1.1 408 ")
        assert b" 202 " not in answer(blank)
        assert get_health(idle).startswith(b"HTTP/1.1 200 ")


def test_a_head_without_end_is_refused(gateway: Gateway) -> None:
    with connect(gateway) as sender:
        sender.sendall(HEAD + b"x: " + b"x" * (MAX_HEAD_BYTES + 1 - len(HEAD)))
        assert answer(sender).startswith(b"HTTP/1.1 431 ")


def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    with connect(gateway) as sender:
        get = b"GET /%s HTTP/1.1\r\nhost: localhost\r\n%s\r\n"
        sender.sendall(get % (b"health", b"") + get % (b"nowhere", b"connection: close\r\n"))
        answers = answer(sender)
        assert answers.index(b"HTTP/1.1 200 ") < answers.index(b"HTTP/1.1 404 ")


def test_the_body_of_a_request_that_was_answered_is_not_read_for_ever(gateway: Gateway) -> None:
    with connect(gateway) as sender:
        sender.sendall(b"POST /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        assert answer(sender).startswith(b"HTTP/1.1 405 ")


def test_a_flood_of_forgeries_is_all_refused_but_not_all_recorded(gateway: Gateway) -> None:
    with gateway.admin as admin:
        admin.put("/api/v1/sources/flooded", json={"auth_type": "github", "secret": "s"})
        admin.put("/api/v1/topics/flooded", json={"source_id": "flooded"})
    started_s = time.monotonic()
    with httpx.Client(base_url=gateway.url) as forger:
        statuses = {forger.post("/api/v1/ingest/flooded", content=b"{}").status_code for _ in range(BURST * 2)}
    assert statuses == {403}
    recorded = len(gateway.records(REJECTIONS))
    assert recorded <= BURST + RATE_PER_S * (time.monotonic() - started_s) + 1
    metrics = httpx.get(f"{gateway.url}/metrics").text
    assert f'hooklog_ingest_rejections_total{{code="signature_missing"}} {BURST * 2}.0' in metrics
    assert 'hooklog_ingest_rejections_unrecorded_total{why="cap"}' in metrics


def test_a_body_that_drips_is_refused_and_is_no_event(gateway: Gateway) -> None:
    with gateway.admin as admin:
        admin.put("/api/v1/sources/dripped", json={"auth_type": "none"})
        admin.put("/api/v1/topics/dripped", json={"source_id": "dripped"})
    with connect(gateway) as sender:
        sender.sendall(HEAD.replace(b"ingest/t", b"ingest/dripped") + b"content-length: 1000\r\n\r\n{")
        refused = answer(sender)
    assert refused.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_too_slow"' in refused
    assert [record for record in gateway.records(EVENTS) if dict(record.headers)["hl-topic"] == b"dripped"] == []


class Wire:
    """An ASGI `receive` whose messages the test decides."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in messages:
            self._messages.put_nowait(message)

    async def __call__(self) -> dict[str, Any]:
        return await self._messages.get()


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def refusal(reader: BodyReader, max_bytes: int = 100) -> int:
    with pytest.raises(ProblemError) as caught:
        await reader.read(max_bytes)
    return caught.value.status


async def test_a_body_that_comes_too_slowly_is_refused() -> None:
    reader = BodyReader(Wire(part(b"12", more=True)), RequestHeaders([]), BodyBudget(), deadline_s=0.05)
    assert await refusal(reader) == 408
    assert reader.beginning(10) == b"12"


async def test_a_body_that_drips_has_less_time_than_one_that_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.body.BODY_GRACE_S", 0.05)
    enough = Wire(part(bytes(LEAST_BYTES_PER_S), more=True))
    budget, began_s = BodyBudget(), time.monotonic()
    dripping = BodyReader(Wire(part(b"1", more=True)), RequestHeaders([]), budget)
    flowing = BodyReader(enough, RequestHeaders([]), budget)
    assert set(await asyncio.gather(refusal(dripping), refusal(flowing, 10_000))) == {408}
    assert time.monotonic() - began_s >= 1.0  # the flowing one had its second
    assert flowing.received_bytes == LEAST_BYTES_PER_S


async def test_a_body_in_many_pieces_is_put_together_and_its_memory_is_given_back() -> None:
    pieces = [part(b"%d;" % number, more=True) for number in range(1_000)]
    budget = BodyBudget()
    reader = BodyReader(Wire(*pieces, part(b"", more=False)), RequestHeaders([]), budget)
    body = b"".join(b"%d;" % number for number in range(1_000))
    assert await reader.read(10_000) == body
    assert (reader.beginning(5), budget.held_bytes) == (body[:5], len(body))
    reader.release()
    assert budget.held_bytes == 0


async def test_a_sender_that_hangs_up_leaves_no_body() -> None:
    wire = Wire(part(b"12", more=True), {"type": "http.disconnect"})
    with pytest.raises(SenderGoneError):
        await BodyReader(wire, RequestHeaders([]), BodyBudget()).read(100)


async def test_all_bodies_together_have_a_limit_and_give_their_memory_back() -> None:
    budget = BodyBudget(max_bytes=10)
    first = BodyReader(Wire(part(b"1234567", more=False)), RequestHeaders([]), budget)
    assert await first.read(100) == b"1234567"
    second = BodyReader(Wire(part(b"1234", more=False)), RequestHeaders([]), budget)
    assert await refusal(second) == 503
    second.release()
    first.release()
    third = BodyReader(Wire(part(b"1234567890", more=False)), RequestHeaders([]), budget)
    assert await third.read(100) == b"1234567890"


def test_kept_headers_are_bounded_in_number_and_in_size() -> None:
    many = kept_headers(RequestHeaders([(b"x-%d" % number, b"v") for number in range(100)]), frozenset())
    assert len(many) == MAX_HEADERS
    large = kept_headers(RequestHeaders([(b"x", b"\xff" * 30_000)] * 50), frozenset())
    assert sum(len(name) + len(value) for name, value in large) <= MAX_TOTAL_CHARS
