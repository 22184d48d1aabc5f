"""The receiver of `hooklog listen` verifies what it gets by itself, and fails as it is told to."""

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from cli.posting import post
from cli.receiver import MAX_BODY_BYTES, TOLERANCE_S, Behaviour, Receiver, Reception, Verdict, serving, verdict_of
from tests.oracle.http import Connection

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW_S = 1_800_000_000
BODY = b'{"type": "order.created", "n": 1}'


def signed_at(at_s: int, body: bytes = BODY, webhook_id: str = "msg_1") -> dict[str, str]:
    """Headers of a delivery, signed by the standard's own library."""
    signature = Webhook(SECRET).sign(webhook_id, datetime.fromtimestamp(at_s, UTC), body.decode())
    return {"webhook-id": webhook_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}


@given(st.text())
def test_what_the_standards_own_library_signs_is_verified(text: str) -> None:
    assert verdict_of(SECRET, signed_at(NOW_S, text.encode()), text.encode(), NOW_S) is Verdict.VERIFIED


def test_one_good_signature_among_several_is_enough() -> None:
    headers = signed_at(NOW_S)
    headers["webhook-signature"] = f"v1a,AAAA v1,AAAA {headers['webhook-signature']}"
    assert verdict_of(SECRET, headers, BODY, NOW_S) is Verdict.VERIFIED


@given(st.integers(0, len(BODY) - 1))
def test_any_changed_byte_is_a_bad_signature(place: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    assert verdict_of(SECRET, signed_at(NOW_S), changed, NOW_S) is Verdict.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(NOW_S + 1)},
        {"webhook-timestamp": "1" * 5_000},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,ü"},
    ],
)
def test_any_changed_header_is_a_bad_signature(change: dict[str, str]) -> None:
    assert verdict_of(SECRET, signed_at(NOW_S) | change, BODY, NOW_S) is Verdict.BAD_SIGNATURE


@pytest.mark.parametrize("late_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_a_signature_of_another_time_is_a_bad_one(late_s: int) -> None:
    assert verdict_of(SECRET, signed_at(NOW_S), BODY, NOW_S + late_s) is Verdict.BAD_SIGNATURE
    assert verdict_of(SECRET, signed_at(NOW_S), BODY, NOW_S + late_s // 2) is Verdict.VERIFIED


def test_another_secret_and_an_unusable_one_verify_nothing() -> None:
    for secret in ("whsec_" + "A" * 32, "whsec_short"):
        assert verdict_of(secret, signed_at(NOW_S), BODY, NOW_S) is Verdict.BAD_SIGNATURE
    assert verdict_of("", signed_at(NOW_S), BODY, NOW_S) is Verdict.UNVERIFIED


@asynccontextmanager
async def running(behaviour: Behaviour) -> AsyncIterator[tuple[Connection, list[Reception]]]:
    """A receiver, a connection to it, and what it was told of."""
    books: list[Reception] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with (
            serving(Receiver(lambda _: behaviour, books.append), listener),
            Connection(listener.getsockname()[1]) as connection,
        ):
            yield connection, books


async def test_the_first_of_each_id_fail_and_the_rest_succeed() -> None:
    async with running(Behaviour(secret=SECRET, fail_first=2, fail_status=503, retry_after_s=7)) as (client, books):
        for attempt in range(3):
            for webhook_id in ("a", "b"):
                headers = signed_at(int(time.time()), webhook_id=webhook_id) | {"x-retry-attempt": str(attempt)}
                answer = await client.request("POST", "/", BODY, headers)
                assert answer.status == (200 if attempt == 2 else 503)
                assert answer.headers.get("retry-after") == (None if attempt == 2 else "7")
    assert [(one.webhook_id, one.attempt, one.answered) for one in books] == [
        ("a", 1, 503),
        ("b", 1, 503),
        ("a", 2, 503),
        ("b", 2, 503),
        ("a", 3, 200),
        ("b", 3, 200),
    ]
    assert {(one.verdict, one.event_type, one.body_bytes) for one in books} == {
        (Verdict.VERIFIED, "order.created", len(BODY))
    }


async def test_any_status_can_be_answered_and_any_body_is_taken() -> None:
    async with running(Behaviour(status=418)) as (client, books):
        for body in (b"", b"not json", b"[1]", b'{"type": 1}', b"[" * 100_000, json.dumps({"event": "x"}).encode()):
            assert (await client.request("POST", "/here", body)).status == 418
    assert [one.event_type for one in books] == ["", "", "", "", "", "x"]
    assert {(one.path, one.verdict, one.webhook_id) for one in books} == {("/here", Verdict.UNVERIFIED, "")}


async def test_a_body_above_the_limit_is_refused() -> None:
    async with running(Behaviour()) as (client, books):
        assert (await client.request("POST", "/", b"x" * (MAX_BODY_BYTES + 1))).status == 413
    assert books == []


async def test_what_is_posted_may_have_any_text_in_its_headers_and_what_cannot_be_sent_is_told() -> None:
    books: list[Reception] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serving(Receiver(lambda _: Behaviour(), books.append), listener), httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            assert (await post(client, url, b"{}", [("webhook-id", "größe")])).status == 200
            for header in (("x", "\x00"), ("x", "a\nb")):
                assert (await post(client, url, b"{}", [header])).code == "no_answer"
    assert [one.webhook_id.encode("latin-1").decode() for one in books] == ["größe"]
