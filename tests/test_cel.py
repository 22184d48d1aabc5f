"""Expressions: what is refused, what they see, and that no event and no text stops whoever evaluates them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.cel import (
    MAX_EXPRESSION_BYTES,
    BadExpressionError,
    compile_filter,
    compile_transform,
    expression_faults,
)
from rules.shortcuts import SHORTCUTS, shortcuts_of
from rules.view import FILTERED, MATCHED, NOT_JSON, EventView
from schemas.event import Event

PUSH = {
    "ref": "refs/heads/main",
    "after": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    "repository": {"full_name": "octo-org/octo-repo", "private": False},
    "commits": [{"id": "1", "modified": ["README.md"]}],
    "size": 1,
}


def view(body: Any = None, raw: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> EventView:
    body_bytes = raw or json.dumps(PUSH if body is None else body).encode()
    return EventView(Event("e", "pushes", "github", "push", 0, body_bytes, request_headers=headers))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("branch ==", "line 1, column 10: Syntax error: mismatched input '<EOF>'"),
        ("event.a > 1 &&\n nope", "line 2, column 2: undeclared reference to 'nope'"),
        ("branch == 1", "line 1, column 8: found no matching overload for '_==_' applied to '(string, int)'"),
        ("branch", "must be true or false, but is of type string"),
        ("1 + 1", "must be true or false, but is of type int"),
        ("'" + "é" * MAX_EXPRESSION_BYTES + "' == branch", "is longer than 2048 bytes"),
        ("(" * 500 + "true" + ")" * 500, "Expression recursion limit exceeded. limit: 32"),
        ("branch == '\ud800'", ""),
    ],
)
def test_a_filter_that_is_none_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadExpressionError) as refused:
        compile_filter(text)
    assert str(refused.value).startswith(said)


def test_each_field_is_named_with_what_is_wrong_with_it() -> None:
    assert expression_faults("", "") == []
    assert expression_faults("branch == 'main'", "{'b': branch}") == []
    assert [field for field, _ in expression_faults("(", "{")] == ["filter", "transform"]


def test_a_transform_may_be_of_any_type() -> None:
    assert view().evaluate(compile_transform("{'branch': branch, 'n': event.size}")) == {"branch": "main", "n": 1}


@pytest.mark.parametrize(
    "text",
    [
        "branch == 'main'",
        "commit.startsWith('6113')",
        "repository == 'octo-org/octo-repo'",
        "action == ''",
        "event.repository.private == false",
        "event.commits.exists(c, 'README.md' in c.modified)",
        "event_type == 'push' && source == 'github' && topic == 'pushes'",
        "headers['x-github-event'] == 'push'",
        "has(event.after) && !has(event.deleted)",
        "event['size'] == 1",
    ],
)
def test_a_filter_sees_the_event(text: str) -> None:
    assert view(headers=(("X-GitHub-Event", "push"),)).verdict(text) == MATCHED


def test_a_filter_that_is_false_says_no_more() -> None:
    assert view().verdict("branch == 'other'") == FILTERED


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("event.nothing == 1", 'Key not found in map : "nothing"'),
        ("1 / (event.size - 1) == 1", "divide by zero"),
        ("event.size", "is neither true nor false, but a int"),
        ("headers['x'] == 'y'", 'Key not found in map : "x"'),
    ],
)
def test_an_evaluation_that_fails_is_a_reason_with_a_detail(text: str, detail: str) -> None:
    assert view().verdict(text) == ("filter_error", detail)


def test_an_evaluation_without_end_is_stopped() -> None:
    many = view({"l": [list(range(150))] * 150})
    verdict = many.verdict("event.l.exists(a, a.exists(b, b < 0))")
    assert verdict == ("filter_error", "Iteration budget exceeded")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event.l.all(x, !(-1 in event.m))", "must not name event"),
        ("event.l.all(x, event.s.size() > 0)", "must not name event"),
        ("event.l.all(x, event['l'] == x)", "must not name event"),
        ("event.l.all(x, branch.contains(x))", "must not name branch"),
        ("event.l.all(a, a.m.all(b, a == b))", "must not name a"),
        ("event.l.all(event, event == 1)", "must not name event"),
        ("event.l.all(a, a.all(a, a == 1))", "must not name a"),
        ("event.l.map(a, a).all(a, a == 1)", "all() must stand behind a path"),
        ("['x'].map(a, a + a).map(a, a + a).all(a, a.size() > 0)", "must stand behind a path"),
        ("(event.l + event.l).all(a, a == 1)", "must stand behind a path"),
        ("event.l.all(a, a == 'it\\'s' && event.m == [])", "has a loop beside an escape"),
        ("event.l.all(a, a == 1) // event", "has a loop beside an escape"),
        (" || ".join(["(event.s + event.s + event.s == 'a')"] * 17), "joins more than 32"),
    ],
)
def test_a_loop_that_looks_through_the_body_for_each_item_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadExpressionError) as refused:
        compile_filter(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "event.commits.exists(c, c.modified.exists(file, file == 'README.md'))",
        "event.commits.all(c, c.id == '1' && event_type == 'push') && event.size == 1",
        "!event.commits.exists(c, c.id == 'event')",
        "event.commits[0].modified.exists_one(m, m == 'README.md')",
    ],
)
def test_a_loop_over_a_path_that_names_its_own_item_works(text: str) -> None:
    assert view(PUSH).verdict(text) == MATCHED


def test_a_body_that_is_nested_deeper_than_the_stack_stops_nobody() -> None:
    raw = b'{"ref":12345678901234567890123,"n":12345678901234567890,"a":' + b"[" * 900 + b"]" * 900 + b"}"
    for text in ("event.n == 1", "branch == 'main'", "event.a == 1"):
        assert view(raw=raw).verdict(text).reason in {"filter", "filter_error"}


def test_what_only_the_event_says_is_not_told_of_a_failure() -> None:
    seen = view({"s": "secret-card-4111"})
    for text in ("event[event.s] == 1", "'a'.matches(event.s + '(')"):
        reason, detail = seen.verdict(text)
        assert (reason, bool(detail), "4111" in detail) == ("filter_error", True, False)
    assert "nope" in seen.verdict("event.nope == 1").detail


@pytest.mark.parametrize("raw", [b"not json", b"\xff\xfe", b'{"a":', b"a=1&b=2"])
def test_a_body_that_is_no_json_fails_the_filter_that_reads_it_and_no_other(raw: bytes) -> None:
    assert view(raw=raw).verdict("event.a == 1") == ("filter_error", NOT_JSON)
    assert view(raw=raw).verdict("event_type == 'push'") == MATCHED
    assert view(raw=raw).verdict("branch == ''") == MATCHED


def test_the_body_is_not_parsed_unless_a_filter_reads_it() -> None:
    seen = view(raw=b"{}")
    seen.verdict("event_type == 'push' && headers.size() == 0")
    assert "_parsed" not in seen.__dict__
    seen.verdict("branch == ''")
    assert "_parsed" in seen.__dict__


def test_an_integer_that_cel_does_not_have_spoils_nothing_beside_it() -> None:
    large = view(raw=b'{"id": 18446744073709551615, "l": [9223372036854775807, 9223372036854775808], "a": 1}')
    assert large.verdict("event.a == 1 && event.l[0] == 9223372036854775807 && event.id > 1.0e19") == MATCHED


def test_headers_that_repeat_stand_in_one() -> None:
    seen = view(headers=(("X-A", "1"), ("x-a", "2"), ("X-B", "3")))
    assert seen.headers == {"x-a": "1, 2", "x-b": "3"}
    assert seen.verdict("headers['x-a'] == '1, 2'") == MATCHED


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"ref": "refs/tags/v1"}, {"branch": ""}),
        ({"ref": "refs/heads/feature/a"}, {"branch": "feature/a"}),
        (
            {"action": "opened", "pull_request": {"head": {"ref": "fix", "sha": "ab"}}},
            {"branch": "fix", "commit": "ab"},
        ),
        ({"project": {"path_with_namespace": "g/p"}, "repository": {"name": "p"}}, {"repository": "g/p"}),
        (
            {"push": {"changes": [{"new": {"name": "main", "target": {"hash": "cd"}}}]}},
            {"branch": "main", "commit": "cd"},
        ),
        ({"push": {"changes": []}, "action": 5}, {"branch": "", "action": ""}),
        ({"object_attributes": {"source_branch": "x", "action": "open"}}, {"branch": "x", "action": "open"}),
    ],
)
def test_a_shortcut_finds_its_value_where_each_provider_puts_it(body: Any, expected: dict[str, str]) -> None:
    assert shortcuts_of(body) | expected == shortcuts_of(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["ref", "push", "action", "a"]) | st.text(), inner),
)


@given(JSON)
def test_every_body_has_shortcuts_that_are_texts(body: Any) -> None:
    assert set(shortcuts_of(body)) == set(SHORTCUTS)
    assert all(isinstance(value, str) for value in shortcuts_of(body).values())


@given(st.text(max_size=60), st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_written_is_refused_or_gives_a_verdict(text: str, raw: bytes) -> None:
    verdict = EventView(Event("e", "t", "s", "push", 0, raw)).verdict(text)
    assert verdict.reason in {"", "filter", "filter_error"}
