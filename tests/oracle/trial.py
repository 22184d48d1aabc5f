"""One run under faults: config, load, chaos, and the verdict when everything has come to rest."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.oracle.chaos import Fault, Happened, carry_out, keep_alive, say
from tests.oracle.http import get
from tests.oracle.kafka_reader import read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sender
from tests.oracle.stack import NotInTimeError, Stack
from tests.oracle.team import SECRET, Team
from tests.oracle.verdict import Books, Streams, Verdict, Wanted, attempts_of, judge, pair_of

PREFIX = "hooklog."
VIOLATED = ("processors", "kafka")

MAX_IN_FLIGHT = 10
"""Of each subscription: what a killed worker may have on the wire to one endpoint."""

STUCK_S = 400.0
"""Without one more request: longer than any session, restart, lease and parking together."""

QUIET_S = 15.0
"""Without one more request after the last expected one: repeats come within a session and a lease."""

PROJECTED_S = 120.0


@dataclass
class Trial:
    """A run on a stack of its own.

    Args:
        stack: which is up.
        receiver: for all of its subscriptions.
        ingest: names of the ingest processes that the sender uses.
    """

    stack: Stack
    receiver: Receiver
    ingest: Sequence[str]
    wanted: list[Wanted] = field(default_factory=list)
    sender: Sender | None = None
    happened: Sequence[Happened] = ()
    judged: Books | None = None

    async def set_up(self, wanted: Sequence[Wanted]) -> None:
        """Makes a topic and these subscriptions."""
        team = Team(self.stack)
        topic = await team.github_topic()
        self.wanted = list(wanted)
        for subscription in self.wanted:
            await team.subscribe(
                topic,
                self.receiver.url(subscription.path),
                id=subscription.id,
                event_types=list(subscription.patterns),
                **subscription.fields,
            )
        self.sender = Sender([self.stack.ports[name] for name in self.ingest], topic, SECRET)

    async def run(self, load: Load, plan: Sequence[Fault], seed: int) -> Verdict:
        """Sends, lets the faults happen, waits for rest, and judges."""
        assert self.sender
        began = time.monotonic()
        keeper = asyncio.create_task(keep_alive(self.stack))
        try:
            return await self._run(load, plan, seed, began)
        finally:
            keeper.cancel()

    async def _run(self, load: Load, plan: Sequence[Fault], seed: int, began: float) -> Verdict:
        assert self.sender
        _, self.happened = await asyncio.gather(self.sender.send_many(load), carry_out(self.stack, plan, seed))
        await self._mend()
        refused = Counter(status for sent in self.sender.books for status in sent.refused)
        say(f"{time.monotonic() - began:6.1f} s  all events answered, refused before: {dict(refused)}")
        await self.rest()
        say(f"{time.monotonic() - began:6.1f} s  at rest")
        books = self.judged = await self.books()
        verdict = judge(books)
        await self.judge_projections(verdict, books)
        say(f"{time.monotonic() - began:6.1f} s  {verdict.counts}")
        return verdict

    def could_repeat(self) -> int:
        """What was on the wire when a worker was killed or paused, or its broker was away."""
        assert self.judged
        violent = [one for one in self.happened if one.what != "sigterm" and one.who.startswith(VIOLATED)]
        return sum(self.judged.on_the_wire(one.at) for one in violent)

    async def _mend(self) -> None:
        for subscription in self.wanted:
            _, kind, name, *_ = subscription.path.split("/")
            if kind == "outage":
                await get(self.receiver.port, f"/mend/{name}")

    async def rest(self) -> None:
        """Returns when all has come to its end, and no request came for a while; or when it is stuck."""
        await self.stack.ready(*self.ingest, "projections", within_s=STUCK_S)  # the broker is back
        expected = Books((), (), self.wanted, await self._streams(events_only=True)).ends()
        seen, since = (0, 0, 0), time.monotonic()
        while time.monotonic() - since < (QUIET_S if seen[:2] == expected else STUCK_S):
            found = (*await self._ends(), await self.receiver.count())
            if found != seen:
                seen, since = found, time.monotonic()
            await asyncio.sleep(2)

    async def _ends(self) -> tuple[int, int]:
        dead = await read_stream(self.stack.bootstrap, f"{PREFIX}dead")
        return await self.receiver.taken(), len({pair_of(record) for record in dead})

    async def books(self) -> Books:
        """Everything that the run left behind."""
        assert self.sender
        return Books(self.sender.books, await self.receiver.books(), self.wanted, await self._streams())

    async def _streams(self, *, events_only: bool = False) -> Streams:
        names = ("events", "dispatches", "deliveries", "attempts", "dead", "operations")
        read = [
            await read_stream(self.stack.bootstrap, PREFIX + name) if name == "events" or not events_only else []
            for name in names
        ]
        return Streams(*read)

    async def judge_projections(self, verdict: Verdict, books: Books) -> None:
        """Compares what ClickHouse tells with the streams, when it has had its time."""
        expected = _rows(books)
        deadline, found = time.monotonic() + PROJECTED_S, dict[str, int]()
        while found != expected and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            found = await self._projected()
        verdict.require_equal("rows in ClickHouse", found, expected)

    async def _projected(self) -> dict[str, int]:
        counts = {}
        for table in ("events", "dispatches", "attempts", "projection_errors"):
            where = " WHERE kind != 'parked'" if table == "attempts" else ""
            (row,) = await self.stack.sql(f"SELECT count() AS n FROM {table} FINAL{where}")  # noqa: S608 - names above
            counts[table] = int(row["n"])
        told = "SELECT count() AS n FROM operations FINAL WHERE kind = 'dead_letter'"
        counts["dead letters told"] = int((await self.stack.sql(told))[0]["n"])
        states = await self.stack.sql("SELECT status, count() AS n FROM deliveries FINAL GROUP BY status")
        return counts | {str(row["status"]): int(row["n"]) for row in states}


def mixed(count: int) -> list[Wanted]:
    """So many subscriptions: most of them quick, one failing, one slow, one dead."""
    usual = {"retry": {"delays_s": [1] * 5}, "max_in_flight": MAX_IN_FLIGHT}
    counted = usual | {"circuit_breaker": False}  # each attempt is made
    special = [
        Wanted("fails-once", "/fail/1/a", attempts=2, fields=counted),
        Wanted("slow", "/slow/1500/a", patterns=["slow.*"], fields=usual),
        Wanted("dead", "/dead/a", ["order.*"], attempts=2, fields=counted | {"retry": {"delays_s": [1]}}),
    ]
    patterns: list[list[str]] = [[], ["order.*"], ["order.created"], ["refund.*", "slow.one"]]
    quick = [
        Wanted(f"quick-{n}", f"/ok/{n}", patterns=patterns[n % 4], fields=usual) for n in range(count - len(special))
    ]
    return special + quick


@asynccontextmanager
async def running_trial(folder: Path, wanted: list[Wanted], twins: Sequence[str] = ()) -> AsyncIterator[Trial]:
    """A stack with a second worker and the endpoints that are wanted, until the end of the block.

    Args:
        folder: for its data.
        wanted: the subscriptions.
        twins: names of ingest processes beside the one that is supervised.
    """
    stack = Stack(folder, session_timeout_s=10)
    try:
        await stack.up()
        await stack.add("processors-2", "processors")
        for twin in twins:
            await stack.add(twin, "ingest")
        await stack.ready("processors-2", *twins)
        with Receiver() as receiver:
            running = Trial(stack, receiver, ["ingest", *twins])
            await running.set_up(wanted)
            yield running
    finally:
        await stack.down()


def _rows(books: Books) -> dict[str, int]:
    expected = books.expected()
    states = {
        "SUCCESS": sum(subscription.succeeds for subscription in expected.values()),
        "FAILED": sum(not subscription.succeeds for subscription in expected.values()),
    }
    return {
        "events": len(books.streams.events),
        "dispatches": len(books.streams.events),
        "attempts": len(attempts_of(books.streams)),
        "projection_errors": 0,
        "dead letters told": states["FAILED"],
        **{status: count for status, count in states.items() if count},
    }


async def require_up(stack: Stack, names: Sequence[str]) -> None:
    """Everybody is ready again, without anybody's hand.

    Raises:
        NotInTimeError: somebody is not.
    """
    try:
        await stack.ready(*names, within_s=60)
    except NotInTimeError as error:
        raise AssertionError(str(error)) from error
