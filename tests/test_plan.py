"""What applying would change: decided from what is asked for and what there is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cli.configure.kinds import KINDS, SUBSCRIPTION
from cli.configure.manifest import Manifest
from cli.configure.plan import Action, Change, change_of, field_changes, flat, in_order, unasked
from cli.configure.plan_view import as_object, lines
from ingest.config_document import check_document, with_kept_secrets
from ingest.config_preview import preview
from schemas.stored import MASK, STAMPS, Record
from tests.strategies import JSON, TEXT

DOCUMENTS = st.dictionaries(TEXT.filter(lambda name: "." not in name and name not in STAMPS), JSON, max_size=5)

SECRETS = ("first secret", "second secret", "third secret")

SUBSCRIPTIONS = st.fixed_dictionaries(
    {"topic_id": st.sampled_from(["a", "b", "*"]), "target_url": st.sampled_from(["http://x/", "https://y/hook"])},
    optional={
        "is_active": st.booleans(),
        "event_types": st.lists(st.sampled_from(["order.*", "push"]), max_size=2),
        "headers": st.dictionaries(st.sampled_from(["X-Team", "Authorization"]), st.sampled_from(["a", "b"])),
        "secret": st.sampled_from(SECRETS),
        "secrets": st.lists(st.sampled_from(SECRETS), max_size=2),
        "retry": st.none() | st.fixed_dictionaries({"delays_s": st.lists(st.integers(1, 9), max_size=2)}),
        "max_in_flight": st.integers(1, 200),
        "rate_limit": st.none() | st.fixed_dictionaries({"per_second": st.integers(1, 9)}),
        "subscriber_name": st.sampled_from(["", "Billing"]),
    },
)


def planned(document: dict[str, Any], current: Record[Any] | None) -> Change:
    spec = check_document("subscriptions", with_kept_secrets("subscriptions", document, current))
    return change_of(Manifest(SUBSCRIPTION, document, "x.yaml:document 1", "subscriptions"), preview(spec, current))


def stored(document: dict[str, Any], current: Record[Any] | None = None, version: int = 1) -> Record[Any]:
    spec = check_document("subscriptions", with_kept_secrets("subscriptions", document, current))
    return Record(spec, version, 1, "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z")


@given(SUBSCRIPTIONS)
def test_what_was_applied_is_unchanged_when_it_is_applied_again(document: dict[str, Any]) -> None:
    document = document | {"id": "s"}
    assert planned(document, None).action is Action.CREATE
    again = planned(document, stored(document))
    assert (again.action, again.fields, again.version) == (Action.NOTHING, (), 1)


@given(SUBSCRIPTIONS, SUBSCRIPTIONS)
def test_a_change_is_there_exactly_when_a_field_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    one, other = one | {"id": "s"}, other | {"id": "s"}
    current = stored(one)
    change = planned(other, current)
    differs = stored(other, current).spec != current.spec
    assert (change.action is Action.UPDATE) == differs == bool(change.fields)
    assert planned(other, stored(other, current, version=2)).action is Action.NOTHING


@given(SUBSCRIPTIONS, SUBSCRIPTIONS)
def test_no_secret_and_no_credential_is_shown(one: dict[str, Any], other: dict[str, Any]) -> None:
    for current in (None, stored(one | {"id": "s"})):
        change = planned(other | {"id": "s", "headers": {"Authorization": "Bearer hush"}}, current)
        if change.action is not Action.NOTHING:
            shown = "\n".join(map(str, lines(change))) + str(as_object(change))
            assert not [secret for secret in ("hush", *SECRETS) if secret in shown]


def test_another_secret_is_a_change_although_both_are_masked() -> None:
    current = stored({"id": "s", "topic_id": "t", "target_url": "http://x/", "secret": "one"})
    change = planned({"id": "s", "topic_id": "t", "target_url": "http://x/", "secret": "two"}, current)
    assert [(item.field, item.before, item.after) for item in change.fields] == [("secret", MASK, MASK)]
    assert str(lines(change)[1]) == "    secret: ******** (another value)"


def test_a_header_of_another_value_is_told_by_its_name_and_nothing_more() -> None:
    document = {"id": "s", "topic_id": "t", "target_url": "http://x/", "secret": "one"}
    current = stored(document | {"headers": {"X-A": "hush", "X-B": "2"}})
    change = planned(document | {"headers": {"X-A": "other", "X-B": "2"}}, current)
    assert [(item.field, item.before, item.after) for item in change.fields] == [("headers.X-A", MASK, MASK)]


@given(DOCUMENTS)
def test_a_record_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert list(field_changes(document, document)) == []


@given(DOCUMENTS, DOCUMENTS)
def test_the_fields_that_differ_make_one_record_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    made = flat(before)
    for change in field_changes(before, after):
        made[change.field] = change.after
    assert {name: value for name, value in made.items() if value is not None} == flat(after)


CHANGES = st.builds(
    Change, st.sampled_from(Action), st.sampled_from(KINDS), st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.just(1)
)


@given(st.lists(CHANGES, max_size=12))
def test_nothing_is_made_before_or_deleted_after_what_it_refers_to(changes: list[Change]) -> None:
    ordered = in_order(changes)
    made = [KINDS.index(change.kind) for change in ordered if change.action is not Action.DELETE]
    deleted = [KINDS.index(change.kind) for change in ordered if change.action is Action.DELETE]
    assert made == sorted(made)
    assert deleted == sorted(deleted, reverse=True)
    assert [change.action for change in ordered[: len(made)]].count(Action.DELETE) == 0
    assert sorted(map(id, ordered)) == sorted(map(id, changes))


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_exactly_what_exists_and_nobody_asks_for_is_deleted(asked: set[str], existing: set[str]) -> None:
    manifests = [Manifest(SUBSCRIPTION, {"id": name}, "x", "") for name in asked]
    rows = [{"id": name, "version": 7} for name in sorted(existing)]
    found = unasked(manifests, {"subscriptions": rows})
    assert {change.id for change in found} == existing - asked
    assert {(change.action, change.version) for change in found} <= {(Action.DELETE, 7)}
