"""Whoever does not take an answer holds one turn of a few, on either port, and not for ever."""

import asyncio
import contextlib
import json
import socket

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message

from projections.query.held_answer import HeldAnswer
from projections.query.turns import HELD, Turns
from tests.projections_fixture import ADMIN_KEY, until
from tests.sql_port_fixture import SqlService, sql_port

__all__ = ["sql_port"]

LARGE = "SELECT repeat('x', 990000) AS x FROM numbers(20)"


@pytest.mark.stack
def test_answers_of_the_query_api_that_nobody_takes_are_as_few_as_those_of_the_port(sql_port: SqlService) -> None:
    with contextlib.ExitStack() as hanging:
        for _ in range(HELD):
            connection = hanging.enter_context(asked(sql_port))
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert sql_port.ask("SELECT 1").headers["x-clickhouse-exception-code"] == "202"
        crowded = sql_port.rest("SELECT 1 AS n")
        assert (crowded.status_code, crowded.json()["code"]) == (503, "crowded")
    until(lambda: sql_port.ask("SELECT 1").text == "1\n", "a turn")
    assert sql_port.rest("SELECT 1 AS n").text == '{"n":1}\n'


def asked(service: SqlService) -> socket.socket:
    """A connection on which a large answer was asked for."""
    body = json.dumps({"query": LARGE}).encode()
    connection = socket.create_connection(("127.0.0.1", service.query_port), timeout=60)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"POST /api/v1/sql HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


async def test_who_takes_nothing_of_an_answer_loses_it_and_its_turn() -> None:
    turns = Turns(CollectorRegistry(), held=1, max_wait_s=5)
    async with contextlib.AsyncExitStack() as turn:
        await turn.enter_async_context(turns.turn())
        answer = HeldAnswer(b"1\n", "text/csv", turn.pop_all(), first_send_s=0.05)
    sending = asyncio.create_task(answer({}, _nothing, _never))
    async with turns.turn():
        await sending


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _never(_: Message) -> None:
    await asyncio.Event().wait()
