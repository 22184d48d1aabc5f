"""Compares the books of a run: what was sent, what arrived, what the streams hold, what ClickHouse tells."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from tests.oracle.kafka_reader import Rec
from tests.oracle.sender import Sent
from tests.oracle.sink import Entry

SHOWN = 5
"""Of each kind of failure; one cause has many symptoms."""

Pair = tuple[str, str]
"""An event and a subscription, by their ids."""


@dataclass(frozen=True)
class Wanted:
    """A subscription, as the run made it.

    Attributes:
        path: its endpoint at the receiver; it tells what the endpoint answers.
        attempts: requests that one delivery takes in the end.
    """

    id: str
    path: str
    patterns: Sequence[str] = ()
    attempts: int = 1

    @property
    def succeeds(self) -> bool:
        """Whether its endpoint takes an event in the end."""
        return not self.path.startswith("/dead/")

    def matches(self, event_type: str) -> bool:
        """Whether it gets events of a type."""
        return not self.patterns or any(fnmatchcase(event_type, pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class Streams:
    """What the streams hold at the end of a run."""

    events: Sequence[Rec]
    dispatches: Sequence[Rec]
    deliveries: Sequence[Rec]
    attempts: Sequence[Rec]
    dead: Sequence[Rec]
    operations: Sequence[Rec] = ()


@dataclass
class Verdict:
    """What is wrong, and how many.

    Attributes:
        problems: sentences; none of them may be there.
        duplicates: successes at the receiver beyond the first of each event and subscription.
        counts: everything that was counted, for the report.
    """

    problems: list[str] = field(default_factory=list)
    duplicates: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def require_none(self, what: str, found: Iterable[object]) -> None:
        """Every one of `found` is a problem."""
        listed = sorted(map(str, found))
        self.counts[what] = len(listed)
        if listed:
            self.problems.append(f"{len(listed)} {what}: {', '.join(listed[:SHOWN])}")

    def require_equal(self, what: str, found: object, expected: object) -> None:
        """Both must be the same."""
        if found != expected:
            self.problems.append(f"{what}: {found}, expected {expected}")


@dataclass(frozen=True)
class Books:
    """Everything that a run left behind."""

    sent: Sequence[Sent]
    arrived: Sequence[Entry]
    wanted: Sequence[Wanted]
    streams: Streams

    def repetitions(self) -> dict[str, str]:
        """Events whose sender had posted them before, with the `partition/offset` of the first one.

        No run takes 24 hours, so the first one of an id in its partition stays the first.
        """
        firsts: dict[tuple[str, str, bytes | None], Rec] = {}
        found = {}
        for event in sorted(self.streams.events, key=lambda event: (event.partition, event.offset)):
            if sender_id := event.header("hl-dedup-id"):
                first = firsts.setdefault((event.header("hl-topic"), sender_id, event.key), event)
                if first is not event:
                    found[event.header("ce_id")] = f"{first.partition}/{first.offset}"
        return found

    def expected(self) -> dict[Pair, Wanted]:
        """Every event of the log, repetitions left out, with every subscription that is to get it."""
        repetitions = self.repetitions()
        return {
            (event.header("ce_id"), subscription.id): subscription
            for event in self.streams.events
            for subscription in self.wanted
            if subscription.matches(event.header("ce_type")) and event.header("ce_id") not in repetitions
        }

    def requests(self) -> int:
        """How many requests the receiver sees at least."""
        return sum(subscription.attempts for subscription in self.expected().values())


def judge(books: Books) -> Verdict:
    """Compares sender, streams and receiver."""
    verdict = Verdict()
    _judge_events(verdict, books)
    _judge_arrivals(verdict, books)
    _judge_dispatches(verdict, books)
    _judge_deliveries(verdict, books)
    _judge_operations(verdict, books)
    _judge_attempts(verdict, books)
    return verdict


def _judge_events(verdict: Verdict, books: Books) -> None:
    accepted = {sent.event_id: sent for sent in books.sent if sent.event_id}
    in_log = {event.header("ce_id"): sha256(event.value or b"").hexdigest() for event in books.streams.events}
    verdict.counts |= {"accepted": len(accepted), "events": len(books.streams.events)}
    verdict.require_none("events never accepted", (sent.index for sent in books.sent if not sent.event_id))
    verdict.require_none("accepted events missing in the log", accepted.keys() - in_log.keys())
    verdict.require_none(
        "events with another body", (key for key, sent in accepted.items() if in_log.get(key, "") != sent.sha256)
    )
    # A post that got no answer, or a 503, may have been stored: its sender posted it again.
    open_tries = sum(sent.unanswered + len(sent.refused) for sent in books.sent)
    unknown = in_log.keys() - accepted.keys()
    if len(unknown) > open_tries:
        verdict.problems.append(f"{len(unknown)} events that nobody sent, {open_tries} posts were unanswered")
    verdict.counts["stored without an answer"] = len(unknown)


def _judge_arrivals(verdict: Verdict, books: Books) -> None:
    expected = books.expected()
    by_path = {subscription.path: subscription.id for subscription in books.wanted}
    bodies = {event.header("ce_id"): sha256(event.value or b"").hexdigest() for event in books.streams.events}
    successes = Counter(
        (entry.webhook_id, by_path.get(entry.path, entry.path)) for entry in books.arrived if entry.answered == 200
    )
    due = {pair for pair, subscription in expected.items() if subscription.succeeds}
    verdict.counts["expected deliveries"] = len(expected)
    verdict.require_none("missing deliveries", due - successes.keys())
    verdict.require_none("unexpected deliveries", successes.keys() - due)
    verdict.require_none(
        "changed bodies", (entry.path for entry in books.arrived if bodies.get(entry.webhook_id) != entry.sha256)
    )
    verdict.duplicates = sum(count - 1 for count in successes.values())
    verdict.counts |= {"duplicates": verdict.duplicates, "requests": len(books.arrived)}


def _judge_dispatches(verdict: Verdict, books: Books) -> None:
    matched = Counter(event_id for event_id, _ in books.expected())
    told: dict[str, set[int]] = {}
    for record in books.streams.dispatches:
        dispatch = json.loads(record.value or b"{}")
        told.setdefault(dispatch["event_id"], set()).add(dispatch["matched"])
    verdict.counts["repeated dispatches"] = len(books.streams.dispatches) - len(told)
    events = {event.header("ce_id") for event in books.streams.events}
    verdict.require_none("events never dispatched", events - told.keys())
    verdict.require_none("dispatches of no event", told.keys() - events)
    verdict.require_none(
        "dispatches with a wrong count", (key for key, counts in told.items() if counts != {matched[key]})
    )
    repetitions = books.repetitions()
    verdict.counts["repetitions"] = len(repetitions)
    verdict.require_none(
        "dispatches with a wrong first one",
        (
            record.value
            for record in books.streams.dispatches
            if _first_one(record) != repetitions.get(json.loads(record.value or b"{}")["event_id"], "")
        ),
    )


def _first_one(record: Rec) -> str:
    dispatch = json.loads(record.value or b"{}")
    return str(dispatch["duplicate_of"]) if dispatch["duplicate"] else ""


def _judge_deliveries(verdict: Verdict, books: Books) -> None:
    ids: dict[Pair, set[str]] = {}
    for record in books.streams.deliveries:
        pair = record.header("ce_id"), record.header("hl-subscription")
        ids.setdefault(pair, set()).add(record.header("hl-delivery-id"))
    verdict.require_none("deliveries never made", books.expected().keys() - ids.keys())
    verdict.require_none("deliveries of nothing", ids.keys() - books.expected().keys())
    verdict.require_none("deliveries with several ids", (pair for pair, found in ids.items() if len(found) > 1))
    dead = Counter((record.header("ce_id"), record.header("hl-subscription")) for record in books.streams.dead)
    due = {pair for pair, subscription in books.expected().items() if not subscription.succeeds}
    verdict.counts |= {"dead letters": len(dead), "repeated dead letters": dead.total() - len(dead)}
    verdict.require_none("missing dead letters", due - dead.keys())
    verdict.require_none("unexpected dead letters", dead.keys() - due)


def _judge_operations(verdict: Verdict, books: Books) -> None:
    told: dict[Pair, set[str]] = {}
    for operation in dead_letters_told(books.streams):
        pair = operation["event_id"], operation["subscription_id"]
        told.setdefault(pair, set()).add(operation["operation_id"])
    due = {pair for pair, subscription in books.expected().items() if not subscription.succeeds}
    verdict.require_none("dead letters never told", due - told.keys())
    verdict.require_none("told of no dead letter", told.keys() - due)
    verdict.require_none("dead letters told under several ids", (pair for pair, ids in told.items() if len(ids) > 1))


def dead_letters_told(streams: Streams) -> list[dict[str, Any]]:
    """Every operation that tells of a dead letter, repetitions included."""
    records = [json.loads(record.value or b"{}") for record in streams.operations]
    return [record for record in records if record["kind"] == "dead_letter"]


def _judge_attempts(verdict: Verdict, books: Books) -> None:
    made: dict[Pair, Counter[tuple[int, str]]] = {}
    for attempt in attempts_of(books.streams):
        pair = attempt["event_id"], attempt["subscription_id"]
        made.setdefault(pair, Counter())[attempt["attempt"], attempt["status"]] += 1
    verdict.counts["attempts recorded twice"] = sum(found.total() - len(found) for found in made.values())
    verdict.require_none(
        "deliveries with a wrong list of attempts",
        (
            f"{pair}: {dict(made.get(pair, {}))}"
            for pair, subscription in books.expected().items()
            if not _plausible(subscription, set(made.get(pair, {})))
        ),
    )
    verdict.require_none("attempts of nothing", made.keys() - books.expected().keys())


def _plausible(subscription: Wanted, made: set[tuple[int, str]]) -> bool:
    numbers = {number for number, _ in made}
    if not subscription.succeeds:
        most = subscription.attempts
        return made == {(number, "RETRYING") for number in range(1, most)} | {(most, "FAILED")}
    # A request that a crash left unrecorded is made again, and an endpoint that fails k times counts both: the first
    # attempt may then succeed, with its retry already on its way.
    return (
        numbers == set(range(1, len(numbers) + 1))
        and len(numbers) <= subscription.attempts
        and {status for _, status in made} <= {"RETRYING", "SUCCESS"}
        and any(status == "SUCCESS" for _, status in made)
    )


def attempts_of(streams: Streams) -> list[dict[str, Any]]:
    """Every attempt and every end without one; leases and parkings are notes between workers."""
    records = [json.loads(record.value or b"{}") for record in streams.attempts]
    return [record for record in records if record["kind"] not in {"lease", "parked"}]
