"""What endpoints in trouble cost the others: time from the accepted event to its arrival, with and without them.

    python -m benchmarks.isolation [--seconds S] [--json]

Two loads, each on a whole gateway of its own, as `hooklog up` runs it: first without the endpoints in trouble, then
with them. The same events go to the same healthy endpoints in both.

- crowd: 200 endpoints, each event to a quarter of them; ten are dead, ten take ten seconds, ten fail for some seconds.
- ten: 200 events a second, each to one endpoint of ten in turn; one takes ten seconds.

Nothing else should run meanwhile.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.oracle.crowd import EVENT_TYPES, crowd
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Load, Sent
from tests.oracle.stack import Stack, until
from tests.oracle.trial import Trial
from tests.oracle.verdict import Wanted

WARM_UP_S = 10.0
"""Of the same load, before what is measured: code is read, connections and lanes are made."""

HEALTHY = "/ok/"


@dataclass(frozen=True)
class Scenario:
    """A load, and who gets it.

    Attributes:
        wanted: all subscriptions.
        per_second: events.
    """

    name: str
    wanted: Sequence[Wanted]
    event_types: Sequence[str]
    per_second: float

    def without_trouble(self) -> list[Wanted]:
        """The subscriptions whose endpoints are well."""
        return [subscription for subscription in self.wanted if subscription.path.startswith(HEALTHY)]


def scenarios() -> list[Scenario]:
    """What is measured."""
    types = [f"type{number}" for number in range(10)]
    paths = ["/slow/10000/hangs", *(f"{HEALTHY}{number}" for number in range(1, 10))]
    ten = [Wanted(f"one-{n}", path, [kind]) for n, (path, kind) in enumerate(zip(paths, types, strict=True))]
    return [Scenario("crowd", crowd(), EVENT_TYPES, 8), Scenario("ten", ten, types, 200)]


async def arrivals_ms(scenario: Scenario, wanted: Sequence[Wanted], seconds: float) -> list[float]:
    """How long after its 202 each event came to each healthy endpoint."""
    with tempfile.TemporaryDirectory(prefix="hooklog-isolation-") as folder, Receiver() as receiver:
        stack = Stack(Path(folder))
        try:
            await stack.up()
            trial = Trial(stack, receiver, ["ingest"])
            await trial.set_up(wanted)
            assert trial.sender
            for load_s in (WARM_UP_S, seconds):
                count = round(load_s * scenario.per_second)
                await trial.sender.send_many(Load(count, scenario.event_types, scenario.per_second))
            return await _measured(scenario, trial.sender.books[-count:], receiver)
        finally:
            await stack.down()


async def _measured(scenario: Scenario, sent_events: Sequence[Sent], receiver: Receiver) -> list[float]:
    healthy = scenario.without_trouble()
    due = {
        (sent.event_id, subscription.path): sent.answered
        for sent in sent_events
        for subscription in healthy
        if subscription.matches(sent.event_type)
    }

    async def arrived() -> dict[tuple[str, str], float]:
        books = {(entry.webhook_id, entry.path): entry.at for entry in await receiver.books()}
        return books if due.keys() <= books.keys() else {}

    came = await until("every event at every healthy endpoint", arrived, within_s=60, every_s=1)
    return [(came[pair] - answered) * 1_000 for pair, answered in due.items()]


async def measure(seconds: float) -> dict[str, float]:
    """The figures by name, with the unit in the name."""
    found: dict[str, float] = {}
    for scenario in scenarios():
        cuts = {}
        for label, wanted in (("without", scenario.without_trouble()), ("with", scenario.wanted)):
            times_ms = await arrivals_ms(scenario, wanted, seconds)
            cuts[label] = statistics.quantiles(times_ms, n=100)
            found[f"{scenario.name}_arrivals_{label}"] = len(times_ms)
            for percent in (50, 99):
                found[f"{scenario.name}_p{percent}_ms_{label}"] = cuts[label][percent - 1]
        for percent in (50, 99):
            found[f"{scenario.name}_p{percent}_times"] = cuts["with"][percent - 1] / cuts["without"][percent - 1]
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the four loads")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = asyncio.run(measure(asked.seconds))
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    table = Table("what", "measured", title="Healthy endpoints beside others in trouble, one machine")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}".removesuffix(".00"))
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
