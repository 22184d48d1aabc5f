"""Posts one letter many times, at a pace, and keeps count of what was answered."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.traffic.letter import Letter

if TYPE_CHECKING:
    import ssl

    import httpx

TIMEOUT_S = 30.0
"""Longer than ingest waits for Kafka, so that its own answer arrives."""

ACCEPTED = 202
NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Pace:
    """How many, how fast (a second; `None` is as fast as answers come), and how many may wait at a time."""

    count: int = 1
    rate: float | None = None
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status (0: nothing came), the JSON document, and after how many milliseconds."""

    status: int
    document: dict[str, Any]
    duration_ms: float

    @property
    def code(self) -> str:
        """Why it was not accepted, in a word; empty when it was."""
        if self.status == ACCEPTED:
            return ""
        return str(self.document.get("code") or f"http_{self.status}")


@dataclass(slots=True)
class Tally:
    """The sum of many answers."""

    accepted: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    durations_ms: list[float] = field(default_factory=list)
    took_s: float = 0.0

    def add(self, answer: Answer) -> None:
        """Count one."""
        self.durations_ms.append(answer.duration_ms)
        if answer.code:
            self.refused[answer.code] += 1
        else:
            self.accepted += 1
            self.duplicates += bool(answer.document.get("duplicate"))

    def document(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "sent": len(self.durations_ms),
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "refused": dict(self.refused),
            "p50_ms": percentile(self.durations_ms, 50),
            "p99_ms": percentile(self.durations_ms, 99),
            "took_s": round(self.took_s, 3),
        }


def percentile(values: list[float], percent: float) -> float:
    """Return the smallest value that `percent` of them do not exceed (nearest rank); 0 of none."""
    if not values:
        return 0.0
    return round(sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)], 1)


async def post_all(
    url: str, letter: Letter, pace: Pace, told: Callable[[Answer], None], verify: "ssl.SSLContext | bool"
) -> Tally:
    """Post it `pace.count` times; `told` hears each answer as it comes, and `verify` checks who gives it."""
    import httpx

    tally = Tally()
    limits = httpx.Limits(max_connections=pace.concurrency, max_keepalive_connections=pace.concurrency)
    start_s = time.monotonic()
    numbers = iter(range(pace.count))
    async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False, verify=verify) as client:

        async def work() -> None:
            for number in numbers:  # shared: whoever is free takes the next one
                if pace.rate:
                    await asyncio.sleep(max(0.0, start_s + number / pace.rate - time.monotonic()))
                answer = await post(client, url, letter.body, letter.sealed())
                tally.add(answer)
                told(answer)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(pace.concurrency, pace.count)):
                workers.create_task(work())
    tally.took_s = time.monotonic() - start_s
    return tally


async def post(client: "httpx.AsyncClient", url: str, body: bytes, headers: list[tuple[str, str]]) -> Answer:
    """Post once; never raises for what the other side does."""
    import httpx

    begin_s = time.monotonic()
    raw = [(name.encode(), value.encode()) for name, value in headers]  # what a person typed need not be ASCII
    try:
        response = await client.post(url, content=body, headers=raw)
    except httpx.HTTPError as error:
        detail = str(error) or type(error).__name__
        return Answer(0, {"code": NO_ANSWER, "detail": detail}, _since_ms(begin_s))
    try:
        document = response.json()
    except ValueError:
        document = {}
    return Answer(response.status_code, document if isinstance(document, dict) else {}, _since_ms(begin_s))


def _since_ms(begin_s: float) -> float:
    return round((time.monotonic() - begin_s) * 1_000, 1)
