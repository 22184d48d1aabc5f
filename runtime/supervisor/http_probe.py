"""Asks a service on this machine whether it is ready: one GET, no HTTP library in the supervisor's memory."""

import asyncio
import contextlib
import json
import ssl
from dataclasses import dataclass, field

PROBE_TIMEOUT_S = 2.0  # a service on the same machine that takes longer is not ready for anybody
MAX_ANSWER_BYTES = 65_536  # a readiness answer has a few hundred
OK = 200
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a service said of itself: nothing (status 0), not yet (503), or ready (200)."""

    status: int
    checks: dict[str, bool] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether it can do its job."""
        return self.status == OK

    @property
    def missing(self) -> str:
        """What it waits for, for a person."""
        if self.status == 0:
            return "does not answer yet"
        failed = ", ".join(name for name, passed in self.checks.items() if not passed) or f"answers {self.status}"
        return f"{failed} ({'; '.join(self.reasons)})" if self.reasons else failed


async def ask_ready(host: str, port: int, tls: ssl.SSLContext | None = None) -> Readiness:
    """Ask `GET /ready`; never raises. `host` is the address the service was told to bind."""
    try:
        answer = await asyncio.wait_for(_get(_WILDCARDS.get(host, host), port, tls), PROBE_TIMEOUT_S)
    except (OSError, TimeoutError):
        return Readiness(0)
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Readiness(status, _checks(body), _reasons(body))


async def _get(host: str, port: int, tls: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while len(answer) < MAX_ANSWER_BYTES and (piece := await reader.read(MAX_ANSWER_BYTES)):
            answer += piece
        return answer
    finally:
        writer.close()


def _checks(body: bytes) -> dict[str, bool]:
    with contextlib.suppress(ValueError, AttributeError):
        checks = json.loads(body).get("checks")
        if isinstance(checks, dict):
            return {str(name): bool(passed) for name, passed in checks.items()}
    return {}


def _reasons(body: bytes) -> tuple[str, ...]:
    with contextlib.suppress(ValueError, AttributeError):
        reasons = json.loads(body).get("reasons")
        if isinstance(reasons, list):
            return tuple(map(str, reasons))
    return ()
