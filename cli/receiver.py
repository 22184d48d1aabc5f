"""A receiver of deliveries on this machine: verifies each by itself, and answers as it is told."""

import asyncio
import contextlib
import hmac
import json
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

import uvicorn

from rules.sign import UnusableSecretError, standard_headers

TOLERANCE_S = 300
"""Standard Webhooks, "Verifying webhook authenticity": an older signature may be somebody's replay."""

MAX_BODY_BYTES = 2_097_152
"""No delivery is larger: it is what a record of the stream holds."""

MAX_KNOWN_IDS = 100_000
"""Webhook ids whose attempts are counted; of older ones the count begins again."""

MAX_DIGITS = 15
"""Of a number in a header; Python refuses to read thousands."""

STOP_S = 2
"""What is being answered may end; the gateway tries again what does not."""


class Verdict(StrEnum):
    """What the signature of a delivery says."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    """There is no secret to verify with."""
    BAD_SIGNATURE = "bad signature"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How an endpoint answers.

    Args:
        secret: verifies deliveries; empty takes them unverified.
        status: the answer.
        fail_first: so many deliveries of each webhook-id get `fail_status` instead.
        fail_status: see there.
        delay_s: seconds before each answer.
        retry_after_s: says when to come again, in each answer that is no success.
    """

    secret: str = ""
    status: int = 200
    fail_first: int = 0
    fail_status: int = 503
    delay_s: float = 0.0
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """One delivery as it came, and what was answered.

    Attributes:
        at_s: epoch seconds at which its body was complete.
        event_type: from the body, as far as it tells.
        attempt: the number of the attempt as the gateway counts, from 1.
    """

    at_s: float
    path: str
    webhook_id: str
    event_type: str
    attempt: int
    body_bytes: int
    sha256: str
    verdict: Verdict
    answered: int


class Receiver:
    """An ASGI application that takes POSTs.

    Args:
        behave: how the endpoint at a path answers; asked for each request.
        told: hears of each delivery once it was answered.
    """

    def __init__(self, behave: Callable[[str], Behaviour], told: Callable[[Reception], None]) -> None:
        self._behave = behave
        self._told = told
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            body = await _read(receive)
        except _TooLargeError:
            await _answer(send, 413, {"connection": "close"})
            return
        at_s = time.time()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        behaviour = self._behave(scope["path"])
        webhook_id = headers.get("webhook-id", "")
        status = self._status(behaviour, scope["path"], webhook_id)
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)
        await _answer(send, status, _retry_after(behaviour, status))
        self._told(
            Reception(
                at_s=at_s,
                path=scope["path"],
                webhook_id=webhook_id,
                event_type=_event_type(body),
                attempt=_number(headers.get("x-retry-attempt", "0")) + 1,
                body_bytes=len(body),
                sha256=sha256(body).hexdigest(),
                verdict=verdict_of(behaviour.secret, headers, body, at_s),
                answered=status,
            )
        )

    def _status(self, behaviour: Behaviour, path: str, webhook_id: str) -> int:
        if not behaviour.fail_first:
            return behaviour.status
        count = self._seen.pop((path, webhook_id), 0) + 1
        self._seen[path, webhook_id] = count
        if len(self._seen) > MAX_KNOWN_IDS:
            self._seen.popitem(last=False)
        return behaviour.fail_status if count <= behaviour.fail_first else behaviour.status


def verdict_of(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> Verdict:
    """Verify a delivery as Standard Webhooks says: any `v1` signature over id, timestamp and body, of a fresh time.

    Args:
        secret: empty gives `UNVERIFIED`.
        headers: by lower-case name.
        body: the exact bytes.
        now_s: epoch seconds.
    """
    if not secret:
        return Verdict.UNVERIFIED
    timestamp = headers.get("webhook-timestamp", "")
    if not _is_number(timestamp) or abs(now_s - int(timestamp)) > TOLERANCE_S:
        return Verdict.BAD_SIGNATURE
    try:
        made = dict(standard_headers([secret], headers.get("webhook-id", ""), int(timestamp), body))
    except UnusableSecretError:
        return Verdict.BAD_SIGNATURE
    expected = made["webhook-signature"].encode()
    given = headers.get("webhook-signature", "").encode().split(b" ")
    found = any(hmac.compare_digest(expected, one) for one in given)
    return Verdict.VERIFIED if found else Verdict.BAD_SIGNATURE


class _TooLargeError(Exception):
    pass


async def _read(receive: Any) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _TooLargeError
        if not message.get("more_body", False):
            return bytes(body)


async def _answer(send: Any, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*raw, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def _retry_after(behaviour: Behaviour, status: int) -> dict[str, str]:
    success = 200 <= status < 300  # noqa: PLR2004 - RFC 9110, section 15.3
    return {} if success or behaviour.retry_after_s is None else {"retry-after": str(behaviour.retry_after_s)}


def _event_type(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    found = next((document[name] for name in ("type", "event_type", "event") if document.get(name)), "")
    return found if isinstance(found, str) and found.isprintable() else ""


def _number(text: str) -> int:
    return int(text) if _is_number(text) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the loop."""
        yield


@contextlib.asynccontextmanager
async def serving(receiver: Receiver, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a listening socket until the block ends; what is being answered may end first."""
    config = uvicorn.Config(
        receiver,
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
