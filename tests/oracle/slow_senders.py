"""Senders that hold connections as long as they are let: a quarter each of four kinds.

    python -m benchmarks.slow_senders <port> <count>

Prints a line when all are connected, goes on until its standard input ends, then prints how many were cut off.
"""

import asyncio
import contextlib
import sys

from benchmarks.ways_in import TOPIC

DRIP_S = 1.0
HEAD = f"POST /api/v1/ingest/{TOPIC} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
BODY = HEAD + b"Content-Length: 1000000\r\n\r\n"
LARGE_ANSWER = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UNREAD = 8
"""Answers that it asks for and does not read: some MiB, more than the kernel buffers."""

SLOW_KINDS = ((HEAD, b"x"), (BODY, b"x"), (b"", b""), (LARGE_ANSWER * UNREAD, b""))
"""What each sends at once, and each second thereafter."""


class SlowSender(asyncio.Protocol):
    """One connection."""

    def __init__(self, first: bytes, drip: bytes) -> None:
        self._first = first
        self._drip = drip
        self._transport: asyncio.BaseTransport | None = None
        self.cut_off = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._first.startswith(LARGE_ANSWER):
            transport.pause_reading()
        transport.write(self._first)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - cut off in whatever way
        self.cut_off = True

    def drip(self) -> None:
        """Sends one more byte, so that it seems to live."""
        if not self.cut_off and isinstance(self._transport, asyncio.Transport):
            self._transport.write(self._drip)


async def hold(port: int, count: int) -> list[SlowSender]:
    """Connects them all; who is not let in counts as cut off."""
    loop = asyncio.get_running_loop()
    senders = [SlowSender(*SLOW_KINDS[number % len(SLOW_KINDS)]) for number in range(count)]
    for sender in senders:
        try:
            await loop.create_connection(lambda sender=sender: sender, "127.0.0.1", port)  # type: ignore[misc]
        except OSError:
            sender.cut_off = True
    return senders


async def drip_for_ever(senders: list[SlowSender]) -> None:
    """A byte of each in turn."""
    while True:
        for sender in senders:
            sender.drip()
        await asyncio.sleep(DRIP_S)


async def main() -> None:
    """Until the standard input ends."""
    senders = await hold(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    dripping = asyncio.create_task(drip_for_ever(senders))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    dripping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dripping
    sys.stdout.write(f"{sum(sender.cut_off for sender in senders)}\n")


if __name__ == "__main__":
    asyncio.run(main())
