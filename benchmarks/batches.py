"""What an event costs ingest when it comes alone, and when a hundred come with one request.

    python -m benchmarks.batches

Only the CPU time of the ingest process is counted: sender, Kafka and everything else share the machine. A minute.
"""

import asyncio
import hmac
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.oracle.http import Connection
from tests.oracle.stack import Stack
from tests.oracle.team import SECRET, Team

EVENTS = 12_000
ROUNDS = 3
ITEMS = 100
BODY_BYTES = 1_024
CONNECTIONS = {1: 32, ITEMS: 4}
"""As many as keep the producer's batches filled; one has a request in flight."""


def body_of(number: int) -> bytes:
    """An event of about 1 KiB; no two are alike."""
    return b'{"type":"order.created","n":%d,"pad":"%b"}' % (number, b"x" * (BODY_BYTES - 40))


def requests_of(per_request: int) -> Iterator[bytes]:
    """The bodies to post."""
    for first in range(0, EVENTS, per_request):
        bodies = [body_of(number) for number in range(first, first + per_request)]
        yield bodies[0] if per_request == 1 else b"[" + b",".join(bodies) + b"]"


async def post_all(stack: Stack, path: str, per_request: int) -> None:
    """Posts every event, and holds each answer to a 202."""
    waiting = requests_of(per_request)

    async def work() -> None:
        async with Connection(stack.ports["ingest"]) as connection:
            for body in waiting:
                signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
                headers = {"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"}
                answer = await connection.request("POST", path, body, headers)
                assert answer.status == 202, answer

    async with asyncio.TaskGroup() as workers:
        for _ in range(CONNECTIONS[per_request]):
            workers.create_task(work())


async def cost_us(stack: Stack, topic: str, per_request: int) -> float:
    """Microseconds of ingest's CPU for an event."""
    ingest = psutil.Process(stack.pids()["ingest"])
    before = ingest.cpu_times()
    await post_all(stack, f"/api/v1/ingest/{topic}{'' if per_request == 1 else '/batch'}", per_request)
    after = ingest.cpu_times()
    used_s: float = after.user + after.system - before.user - before.system
    return used_s / EVENTS * 1e6


async def main() -> None:
    """Measures both in turn, and prints the medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            await stack.up()
            topic = await Team(stack).github_topic()
            costs: dict[int, list[float]] = {1: [], ITEMS: []}
            for _ in range(ROUNDS + 1):
                for per_request, found in costs.items():
                    found.append(await cost_us(stack, topic, per_request))
                    print(f"{per_request:4} a request: {found[-1]:6.1f} us of ingest's CPU an event")
            alone, together = (sorted(found[1:])[ROUNDS // 2] for found in costs.values())  # the first warms up
            print(f"medians {alone:.1f} and {together:.1f} us: {together / alone:.2f} of the cost")
        finally:
            await stack.down()


if __name__ == "__main__":
    asyncio.run(main())
