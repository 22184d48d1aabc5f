"""Senders that hold connections as long as they are let: they drip a head or a body, are silent, or read no answer.

    python -m tests.oracle.slow_senders <port> <topic> <count>

Prints a line when all are connected, goes on until its standard input ends, then prints how many were cut off.
"""

import asyncio
import contextlib
import sys

DRIP_S = 1.0
LARGE_ANSWER = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UNREAD = 32
"""Answers that one asks for and does not read: some MiB, more than the kernel buffers."""

UNREAD_EACH = 25
"""One of so many reads nothing; making the answers is work, and what holds a connection is to be measured."""

DRIPPING = ("head", "body", "silent")


def slow_kinds(topic_id: str) -> dict[str, tuple[bytes, bytes]]:
    """What each kind sends at once, and each second thereafter."""
    head = f"POST /api/v1/ingest/{topic_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    return {
        "head": (head, b"x"),
        "body": (head + b"Content-Length: 1000000\r\n\r\n", b"x"),
        "silent": (b"", b""),
        "unread": (LARGE_ANSWER * UNREAD, b"\r\n"),  # who does not read learns of the end by writing
    }


class SlowSender(asyncio.Protocol):
    """One connection."""

    def __init__(self, kind: str, first: bytes, drip: bytes) -> None:
        self.kind = kind
        self._first = first
        self._drip = drip
        self._transport: asyncio.BaseTransport | None = None
        self.cut_off = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self.kind == "unread":
            transport.pause_reading()
        transport.write(self._first)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - cut off in whatever way
        self.cut_off = True

    def drip(self) -> None:
        """Sends one more byte, so that it seems to live."""
        if not self.cut_off and isinstance(self._transport, asyncio.Transport):
            self._transport.write(self._drip)

    def close(self) -> None:
        """Gives up."""
        if self._transport is not None:
            self._transport.close()


async def hold(port: int, topic_id: str, count: int) -> list[SlowSender]:
    """Connects them all; who is not let in counts as cut off."""
    loop = asyncio.get_running_loop()
    kinds = slow_kinds(topic_id)
    names = [DRIPPING[number % len(DRIPPING)] if number % UNREAD_EACH else "unread" for number in range(count)]
    senders = [SlowSender(name, *kinds[name]) for name in names]
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
    senders = await hold(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
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
