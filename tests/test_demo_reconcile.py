"""The demo's reconciliation finds every planted error: it can fail."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from cli.demo.books import Books, Post
from cli.demo.cast import DEAD, FLAKY, Cast, Sender, Subscription
from cli.demo.facts import Facts, Traffic
from cli.demo.reconcile import reconcile
from cli.traffic.receiver import Reception, Verdict

CAST = Cast(senders=(Sender("github", "pushes", "s"), Sender("stripe", "payments", "s")))
EVENTS = (("pushes", "push"), ("payments", "charge.refunded"), ("pushes", "issues"))


def reception(subscription: Subscription, post: Post, attempt: int, answered: int) -> Reception:
    return Reception(
        at_s=0.0,
        path=subscription.path,
        webhook_id=post.event_id,
        event_type=post.event_type,
        attempt=attempt,
        body_bytes=1,
        sha256=post.sha256,
        verdict=Verdict.VERIFIED,
        answered=answered,
    )


def answers(subscription: Subscription) -> list[int]:
    """What an endpoint answers to one event, attempt after attempt."""
    endpoint = subscription.endpoint
    if endpoint is DEAD:
        return [500] * (len(endpoint.delays_s) + 1)
    return [503] * endpoint.fail_first + [200]


def played() -> tuple[Books, Facts]:
    """A run in which everything went well."""
    books = Books(CAST)
    for number, (topic_id, event_type) in enumerate(EVENTS):
        books.posts.append(Post(topic_id, event_type, f"sha-{number}", forged=False, status=202, event_id=f"E{number}"))
    books.posts.append(Post("pushes", "push", "sha-f", forged=True, status=403, code="signature_mismatch"))
    states, traffic, dead = {}, {}, Counter[str]()
    for one in CAST.subscriptions:
        wanted = [post for post in books.accepted if one.wants(post.topic_id, post.event_type)]
        got = [
            reception(one, post, attempt, answered)
            for post in wanted
            for attempt, answered in enumerate(answers(one), start=1)
        ]
        books.receptions += got
        states[one.id] = Counter({"FAILED" if one.endpoint is DEAD else "SUCCESS": len(wanted)})
        dead[one.id] = len(wanted) if one.endpoint is DEAD else 0
        successes = sum(item.answered == 200 for item in got)
        traffic[one.id] = Traffic(len(got), sum(item.attempt > 1 for item in got), successes)
    ids = frozenset(post.event_id for post in books.accepted)
    return books, Facts(ids, 1, len(ids), books.matches, states, traffic, dead)


def failed(books: Books, facts: Facts) -> list[str]:
    return [check.name for check in reconcile(books, facts) if not check.ok]


def test_a_run_that_went_well_adds_up() -> None:
    books, facts = played()
    assert failed(books, facts) == []
    # healthy: the push and the payment; flaky and dead: all three.
    assert (books.matches, len(books.receptions)) == (2 + 3 + 3, 2 + 9 + 9)


def some(endpoint: object) -> Subscription:
    return next(one for one in CAST.subscriptions if one.endpoint is endpoint)


def lose_an_answer(books: Books, facts: Facts) -> Facts:
    books.posts[0] = replace(books.posts[0], status=0, event_id="", code="no_answer")
    return facts


def accept_a_forgery(books: Books, facts: Facts) -> Facts:
    books.posts[-1] = replace(books.posts[-1], status=202, event_id="E9")
    return facts


def refuse_an_honest_one(books: Books, facts: Facts) -> Facts:
    books.posts.append(Post("pushes", "push", "sha", forged=False, status=413))
    return replace(facts, rejections=2)


def answer_one_id_twice(books: Books, facts: Facts) -> Facts:
    books.posts[1] = replace(books.posts[1], event_id=books.posts[0].event_id)
    return facts


def store_another_event(_books: Books, facts: Facts) -> Facts:
    return replace(facts, event_ids=facts.event_ids - {"E0"} | {"E7"})


def forget_a_rejection(_books: Books, facts: Facts) -> Facts:
    return replace(facts, rejections=0)


def dispatch_too_few(_books: Books, facts: Facts) -> Facts:
    return replace(facts, dispatched=facts.dispatched - 1)


def match_too_many(_books: Books, facts: Facts) -> Facts:
    return replace(facts, matched=facts.matched + 1)


def leave_one_waiting(_books: Books, facts: Facts) -> Facts:
    facts.states[some(FLAKY).id] = Counter(SUCCESS=1, RETRYING=1)
    return facts


def swap_requests_between_subscriptions(books: Books, facts: Facts) -> Facts:
    other = next(one for one in CAST.subscriptions if one.endpoint is DEAD and one.topic_id == "payments")
    place = next(n for n, item in enumerate(books.receptions) if item.path == some(DEAD).path)
    books.receptions[place] = replace(books.receptions[place], path=other.path)
    return facts


def count_a_retry_less(_books: Books, facts: Facts) -> Facts:
    one = some(FLAKY).id
    facts.traffic[one] = replace(facts.traffic[one], retries=facts.traffic[one].retries - 1)
    return facts


def claim_a_success(_books: Books, facts: Facts) -> Facts:
    one = some(DEAD).id
    facts.traffic[one] = replace(facts.traffic[one], successes=1)
    return facts


def change_a_body(books: Books, facts: Facts) -> Facts:
    books.receptions[0] = replace(books.receptions[0], sha256="another")
    return facts


def deliver_to_the_wrong_one(books: Books, facts: Facts) -> Facts:
    healthy = CAST.subscriptions[0]
    issues = next(post for post in books.posts if post.event_type == "issues")
    books.receptions.append(reception(healthy, issues, 1, 200))
    facts.traffic[healthy.id] = Traffic(2, 0, 2)
    return facts


def break_a_signature(books: Books, facts: Facts) -> Facts:
    books.receptions[-1] = replace(books.receptions[-1], verdict=Verdict.BAD_SIGNATURE)
    return facts


def lose_a_dead_letter(_books: Books, facts: Facts) -> Facts:
    facts.dead[some(DEAD).id] -= 1
    return facts


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lose_an_answer, "sent = accepted + refused"),
        (accept_a_forgery, "forged = refused with 403"),
        (refuse_an_honest_one, "forged = refused with 403"),
        (answer_one_id_twice, "accepted = events in ClickHouse, id by id"),
        (store_another_event, "accepted = events in ClickHouse, id by id"),
        (forget_a_rejection, "refused = rejections in ClickHouse"),
        (dispatch_too_few, "accepted = dispatched"),
        (match_too_many, "matches by our own reading = matched"),
        (leave_one_waiting, "matched = success + failed + cancelled"),
        (swap_requests_between_subscriptions, "requests received = attempts"),
        (count_a_retry_less, "retries received = attempts after the first"),
        (claim_a_success, "taken with 2xx = SUCCESS attempts"),
        (change_a_body, "bodies taken = bodies sent, byte for byte"),
        (deliver_to_the_wrong_one, "bodies taken = bodies sent, byte for byte"),
        (break_a_signature, "signatures that verify = requests received"),
        (lose_a_dead_letter, "given up = dead letters in Kafka"),
    ],
)
def test_a_planted_error_is_found(plant: Callable[[Books, Facts], Facts], found: str) -> None:
    books, facts = played()
    assert found in failed(books, plant(books, facts))


def test_every_check_can_fail_and_nothing_at_all_does() -> None:
    books, _ = played()
    assert failed(books, Facts())
    found = {name for _, name in test_a_planted_error_is_found.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    books, facts = played()
    assert {check.name for check in reconcile(books, facts)} == found
