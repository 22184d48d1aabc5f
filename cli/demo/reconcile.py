"""Holds the gateway's account against the demo's own books: every count must add up."""

from collections.abc import Callable
from dataclasses import dataclass

from cli.demo.books import Books
from cli.demo.cast import Subscription
from cli.demo.facts import ENDED, Facts, Traffic
from cli.traffic.receiver import Verdict

FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: what, for people.
        ours: a number from the demo's books.
        theirs: the number that it must be, mostly from the gateway.
        ok: whether it holds; equal numbers are not always enough.
    """

    name: str
    ours: int
    theirs: int
    ok: bool


def reconcile(books: Books, facts: Facts) -> list[Check]:
    """Return every check; the demo has succeeded when all are `ok`."""
    accepted, refused = books.accepted, books.refused
    accepted_ids = {post.event_id for post in accepted}
    forged = [post for post in books.posts if post.forged]
    forged_refused = [post for post in forged if post.status == FORBIDDEN]
    return [
        _equal("sent = accepted + refused", len(books.posts), len(accepted) + len(refused)),
        Check(
            "forged = refused with 403",
            len(forged),
            len(forged_refused),
            len(forged) == len(forged_refused) == len(refused),
        ),
        Check(
            "accepted = events in ClickHouse, id by id",
            len(accepted),
            len(facts.event_ids),
            accepted_ids == facts.event_ids and len(accepted_ids) == len(accepted),
        ),
        _equal("refused = rejections in ClickHouse", len(refused), facts.rejections),
        _equal("accepted = dispatched", len(accepted), facts.dispatched),
        _equal("matches by our own reading = matched", books.matches, facts.matched),
        _equal("matched = success + failed + cancelled", facts.matched, facts.total(*ENDED)),
        _each("requests received = attempts", books, _received, lambda one: _traffic(facts, one).attempts),
        _each("retries received = attempts after the first", books, _retries, lambda one: _traffic(facts, one).retries),
        _each("taken with 2xx = SUCCESS attempts", books, _taken, lambda one: _traffic(facts, one).successes),
        _arrived(books),
        _equal("signatures that verify = requests received", books.verdicts[Verdict.VERIFIED], len(books.receptions)),
        _each(
            "given up = dead letters in Kafka",
            books,
            lambda _, one: _failed(facts, one),
            lambda one: facts.dead[one.id],
        ),
    ]


def _equal(name: str, ours: int, theirs: int) -> Check:
    return Check(name, ours, theirs, ours == theirs)


def _each(
    name: str,
    books: Books,
    ours: Callable[[Books, Subscription], int],
    theirs: Callable[[Subscription], int],
) -> Check:
    """Compare subscription by subscription: two errors must not cancel each other out."""
    pairs = [(ours(books, one), theirs(one)) for one in books.cast.subscriptions]
    return Check(name, sum(a for a, _ in pairs), sum(b for _, b in pairs), all(a == b for a, b in pairs))


def _arrived(books: Books) -> Check:
    """Everything wanted arrived byte for byte where it is taken in the end, and nothing arrived that was not wanted."""
    wanted = {one.id: books.wanted(one) for one in books.cast.subscriptions if one.endpoint.takes}
    taken = {one.id: books.taken(one) for one in books.cast.subscriptions}
    return Check(
        "bodies taken = bodies sent, byte for byte",
        sum(map(len, wanted.values())),
        sum(map(len, taken.values())),
        all(taken[one.id] == wanted.get(one.id, set()) for one in books.cast.subscriptions),
    )


def _received(books: Books, one: Subscription) -> int:
    return len(books.got(one))


def _retries(books: Books, one: Subscription) -> int:
    return sum(reception.attempt > 1 for reception in books.got(one))


def _taken(books: Books, one: Subscription) -> int:
    return sum(reception.answered < 300 for reception in books.got(one))  # noqa: PLR2004 - RFC 9110, section 15.3


def _traffic(facts: Facts, one: Subscription) -> Traffic:
    return facts.traffic.get(one.id, Traffic())


def _failed(facts: Facts, one: Subscription) -> int:
    return facts.states[one.id]["FAILED"] if one.id in facts.states else 0
