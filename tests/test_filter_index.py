"""What the index finds is what judging every subscription one by one finds, to the last count."""

import base64
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.dispatch.findings import Findings
from processors.dispatch.index import SubscriptionIndex, TopicIndex
from rules.equalities import Beginning, beginning_of
from rules.match import judge
from rules.view import EventView
from runtime.keyring import Keyring
from runtime.tables import Table
from schemas.config import SubscriptionSpec
from schemas.dispatch import MAX_LISTED_SKIPS
from schemas.event import Event
from schemas.stored import Record

KEYRING = Keyring.parse("k1:" + base64.b64encode(bytes(32)).decode())
FILTERS = [
    "",
    "branch == 'main'",
    'branch == "dev"',
    "'main' == branch",
    "branch == 'main' && event.a == 'x'",
    "branch == 'main' && event.a == 'y'",
    "branch == 'main' && event.n > 1",
    "branch == 'main' && event.n",
    "event.a == 'x'",
    "event.a == 'y'",
    "event.a == 'x' && event.b == 'y'",
    "event.a == 'x' && event.b == 'y' && event.n == 1",
    "event['a'] == 'x'",
    "event.a.b == 'x'",
    "event.n == 'x'",
    "event.n == 1",
    "event.n / 0 == 1",
    "event.a == 'x' || branch == 'main'",
    "branch == 'main' ? event.n == 1 : event.a == 'x'",
    "(branch == 'main') && event.a == 'x'",
    "event_type == 'push' && headers['x-a'] == '1'",
    "headers['x-a'] == '1'",
    "topic == 't' && source == 's' && branch == 'main'",
    "event.a != 'x'",
    "event.n",
    "true",
    "branch == 'main' && nope",  # as an older release may have stored it
    "branch == 'a//b'",
    r"branch == 'ma\x69n'",
]
TYPES = ["push", "order.created", "order.*", "*", "*.created", "p*h", "pull", "order*d*"]
VALUES = st.sampled_from(["x", "y", "refs/heads/main", None, 1, 2, True, {"b": "x"}, ["x"]])
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b", "n", "ref"]), VALUES).map(lambda body: json.dumps(body).encode()),
    st.sampled_from([b"no json", b"", b"[]", b"null", b'"x"']),
)
SPECS = st.fixed_dictionaries(
    {
        "filter": st.sampled_from(FILTERS),
        "event_types": st.lists(st.sampled_from(TYPES), max_size=2),
        "is_active": st.booleans() | st.just(value=True),
    }
)


def stored(number: int, fields: dict[str, Any], topic_id: str = "t") -> Record[Any]:
    document = {"id": f"s{number}", "topic_id": topic_id, "target_url": "http://example.com/", **fields}
    return Record(SubscriptionSpec.model_validate(document), number, number, "", "")


def event(event_type: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Event:
    return Event("e", "t", "s", event_type, 0, body, request_headers=headers)


def naive(records: list[Record[Any]], of: Event) -> tuple[set[str], dict[str, int], set[tuple[str, str, str]]]:
    """Who gets it, counts by reason, and every skip, each judged in a view of its own."""
    verdicts = {record.spec.id: judge(record.spec, EventView(of)) for record in records}
    matched = {name for name, verdict in verdicts.items() if not verdict.reason}
    skips = {(name, *verdict) for name, verdict in verdicts.items() if verdict.reason}
    return matched, Counter(reason for _, reason, _ in skips), skips


def found(index: TopicIndex, of: Event) -> tuple[set[str], dict[str, int], set[tuple[str, str, str]]]:
    findings = Findings()
    index.find(EventView(of), findings)
    ids = [record.spec.id for record in findings.matched]
    listed = [(skip.subscription_id, skip.reason, skip.detail) for skip in findings.listed()]
    assert len(set(ids)) == len(ids)
    assert len(set(listed)) == len(listed)
    return set(ids), findings.skipped, set(listed)


@settings(max_examples=400)
@given(
    st.lists(SPECS, max_size=30),
    st.sets(st.integers(0, 29)),
    st.sampled_from(["push", "order.created", "order.*", "", "ph"]),
    BODIES,
    st.sampled_from([(), (("X-A", "1"),), (("x-a", "2"),)]),
)
def test_the_index_finds_what_judging_each_one_finds(
    specs: list[dict[str, Any]],
    removed: set[int],
    event_type: str,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
) -> None:
    records = [stored(number, fields) for number, fields in enumerate(specs)]
    index = TopicIndex()
    for record in records:
        index.add(record)
    for number in removed & set(range(len(records))):
        index.remove(records[number])
    left = [record for record in records if record.version not in removed]
    of = event(event_type, body, headers)
    assert index.count == len(left)
    assert found(index, of) == naive(left, of)


@given(st.lists(SPECS, max_size=12))
def test_an_index_of_which_all_is_removed_holds_nothing(specs: list[dict[str, Any]]) -> None:
    index = TopicIndex()
    records = [stored(number, fields) for number, fields in enumerate(specs)]
    for record in records:
        index.add(record)
    for record in records:
        index.remove(record)
    assert index.count == 0
    assert found(index, event("push", b"{}")) == (set(), Counter(), set())
    assert index._types.groups == {}
    assert index._types._exact == index._types._by_prefix == index._types._prefix_lengths == {}


def test_of_many_skips_all_are_counted_and_a_hundred_listed_those_that_failed_first() -> None:
    index = TopicIndex()
    for number in range(5_000):
        index.add(stored(number, {"filter": f"branch == 'b{number}'"}))
    for number in range(5_000, 5_003):
        index.add(stored(number, {"filter": "event.nothing > 1"}))
    findings = Findings()
    index.find(EventView(event("push", b'{"ref":"refs/heads/b7"}')), findings)
    assert [record.spec.id for record in findings.matched] == ["s7"]
    assert findings.skipped == {"filter": 4_999, "filter_error": 3}
    listed = findings.listed()
    assert len(listed) == MAX_LISTED_SKIPS
    assert [skip.reason for skip in listed[:4]] == ["filter_error"] * 3 + ["filter"]
    assert listed[0].detail == 'Key not found in map : "nothing"'
    assert "s7" not in {skip.subscription_id for skip in listed}


def test_filters_that_begin_with_equalities_are_not_evaluated() -> None:
    index = TopicIndex()
    for number in range(50):
        index.add(stored(number, {"filter": f"event.kind == 'order' && event.customer == 'c{number}' && event.n > 1"}))
    view = EventView(event("push", b'{"kind":"order","customer":"c3","n":2}'))
    findings = Findings()
    index.find(view, findings)
    assert [record.spec.id for record in findings.matched] == ["s3"]
    assert len(view._verdicts) == 1


@pytest.mark.parametrize(
    ("text", "paths", "whole"),
    [
        ("branch == 'main'", ["branch"], True),
        (" 'main'==branch ", ["branch"], True),
        ("event.a['b'].c == \"x\" && branch == 'y'", ["event.a['b'].c", "branch"], True),
        ("branch == 'main' && event.n > 1 && event.a == 'x'", ["branch"], False),
        ("event.n > 1 && branch == 'main'", [], False),
        ("branch == 'a' || branch == 'b'", [], False),
        ("branch == 'a' ? true : false", [], False),
        ("branch == 'a && b'", ["branch"], True),
        ("nope == 'a'", [], False),
        ("event.a == b'a'", [], False),
        (r"branch == 'a\'b'", [], False),
        ("branch == 'main' // && event.a == 'x'", [], False),
        ("(branch == 'a' && topic == 'b')", [], False),
    ],
)
def test_only_plain_equalities_at_the_beginning_are_taken(text: str, paths: list[str], whole: bool) -> None:
    beginning = beginning_of(text)
    assert [equality.path for equality in beginning.equalities] == paths
    assert beginning.whole == whole
    assert isinstance(beginning, Beginning)


def test_the_index_follows_the_table_through_changes_of_topic() -> None:
    table = Table("subscriptions", KEYRING)
    index = SubscriptionIndex(table)
    first, moved, everywhere = stored(1, {}), stored(1, {}, "other"), stored(2, {"filter": "topic == 't'"}, "*")
    for listener in table.listeners:
        listener("s1", None, first)
        listener("s2", None, everywhere)
    assert [record.spec.id for record in index.find(EventView(event("push", b""))).matched] == ["s1", "s2"]
    for listener in table.listeners:
        listener("s1", first, moved)
    assert [record.spec.id for record in index.find(EventView(event("push", b""))).matched] == ["s2"]
    for listener in table.listeners:
        listener("s2", everywhere, None)
    assert index.find(EventView(event("push", b""))).skipped == {}
