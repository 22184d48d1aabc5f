"""Files of configuration: found, read, checked to the last field, and refused as a whole."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.manifest import Manifest, WrongFilesError, read_manifests
from cli.manifest_files import MAX_FILE_BYTES, TextFile, UnusableFileError, read_files
from cli.manifest_text import UnreadableError, read_json, read_yaml
from cli.substitute import UnresolvedError, resolve
from tests.strategies import JSON

SOURCE = "kind: source\nid: shop\nauth_type: none\n"


def manifests(*texts: str, **environment: str) -> list[Manifest]:
    files = [TextFile(f"{number}.yaml", text) for number, text in enumerate(texts, 1)]
    return read_manifests(files, environment)


def complaints(*texts: str, **environment: str) -> list[str]:
    with pytest.raises(WrongFilesError) as caught:
        manifests(*texts, **environment)
    return list(caught.value.complaints)


def test_documents_and_lists_are_records_in_their_order() -> None:
    found = manifests(
        f"{SOURCE}---\n# nothing\n---\nkind: topic\nid: orders\nsource_id: shop\n",
        "topics: [{id: a, source_id: shop}]\nsubscriptions:\n- {id: s, topic_id: a, target_url: 'http://x/'}\n",
        '[{"kind": "source", "id": "json", "auth_type": "none"}]',
    )
    assert [(item.kind.name, item.id) for item in found] == [
        ("sources", "shop"),
        ("topics", "orders"),
        ("topics", "a"),
        ("subscriptions", "s"),
        ("sources", "json"),
    ]
    assert found[1].place == "1.yaml:document 3"


def test_what_was_shown_can_be_applied() -> None:
    shown = {"kind": "source", "id": "s", "auth_type": "none", "version": 3, "generation": 1, "warnings": []}
    (found,) = manifests(json.dumps(shown | {"created_at": "x", "updated_at": "y"}))
    assert found.document == {"id": "s", "auth_type": "none"}


def test_every_bad_field_of_every_file_is_named_with_its_place() -> None:
    found = complaints(
        f"{SOURCE}---\nkind: subscription\nid: a b\ntarget_url: ftp://x\nretry: {{delays_s: [0]}}\n",
        "topics:\n- {id: t}\n- 7\n",
        "kind: webhook\n",
        "just: this\n",
        "a: [1\n",
    )
    shown = "\n".join(found)
    for part in (
        "1.yaml:document 2: subscriptions.id: ",
        "1.yaml:document 2: subscriptions.topic_id: ",
        "1.yaml:document 2: subscriptions.target_url: ",
        "1.yaml:document 2: subscriptions.retry.delays_s.0: ",
        "2.yaml:document 1: topics.0.source_id: ",
        "2.yaml:document 1: topics.1: must be a mapping",
        "3.yaml:document 1: kind: 'webhook' is none of source, topic, subscription",
        "4.yaml:document 1: kind: is missing",
        "5.yaml: line 2: ",
    ):
        assert part in shown
    assert len(found) == 9


def test_an_id_that_is_there_twice_is_refused() -> None:
    assert complaints(SOURCE, SOURCE) == ["2.yaml:document 1: sources.id: shop is also in 1.yaml:document 1"]


def test_secrets_come_from_the_environment_and_never_stand_in_a_complaint() -> None:
    text = "kind: source\nid: s\nauth_type: ${X}\nsecret: a${X}$$b$\nsecrets: ['${Y}']\n"
    (found,) = manifests(text, X="1", Y="2")
    assert (found.document["secret"], found.document["secrets"]) == ("a1$b$", ["2"])
    assert found.document["auth_type"] == "${X}"
    (unset,) = complaints(text, X="hush")
    assert unset == "1.yaml:document 1: sources.secrets.0: needs the environment variable Y, which is not set"
    assert complaints("kind: source\nid: s\nauth_type: none\nsecret: a${\n") == [
        "1.yaml:document 1: sources.secret: has a ${ that names no variable; $$ stands for a $"
    ]


@given(st.text(max_size=30))
def test_any_text_survives_when_its_dollars_are_doubled(text: str) -> None:
    assert resolve(text.replace("$", "$$"), {}) == text


@given(st.text(max_size=30))
def test_a_text_resolves_or_says_what_is_missing(text: str) -> None:
    try:
        resolved = resolve(text, {})
    except UnresolvedError:
        assert "${" in text
    else:
        assert "$" in text or resolved == text


@given(JSON)
def test_json_is_read_as_what_it_is(value: object) -> None:
    assert read_json(json.dumps(value)) == [value]


@given(st.text(max_size=80) | st.text("[]{}&*a:-! \n'\"<", max_size=40))
def test_any_text_is_yaml_or_is_refused_and_nothing_else_happens(text: str) -> None:
    with suppress(UnreadableError):
        assert isinstance(read_yaml(text), list)


def test_aliases_cannot_make_a_document_of_a_billion_values() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    merged = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    for text in ("\n".join(levels), "\n".join(merged), "a: &a [*a]"):
        with pytest.raises(UnreadableError, match="line 1: a document of more than"):
            read_yaml(text)
    assert read_yaml("a: &r [1, 5]\nb: *r\nc: *r") == [{"a": [1, 5], "b": [1, 5], "c": [1, 5]}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is there twice"),
        ("a: !!python/object/apply:os.getpid []\n", "line 1: could not determine a constructor"),
        ("a: 2026-13-01\n", "month must be in 1..12"),
        ("a:\n\t- 1\n", "line 2: "),
        ("[" * 100_000, "line 1: exceeded maximum nesting depth|nested too deeply"),
    ],
)
def test_yaml_that_would_surprise_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_yaml(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [('{"a": 1, "a": 2}', "a is there twice"), ("{\n1}", "line 2: "), ("[" * 100_000, "nested too deeply")],
)
def test_json_that_would_surprise_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_json(text)


@pytest.mark.parametrize("value", ["2026-01-01", ".nan", "!!binary aGk="])
def test_what_json_cannot_say_is_refused(value: str) -> None:
    (found,) = complaints(f"{SOURCE}auth_config: {{x: {value}}}\n")
    assert "cannot be sent as JSON" in found


def test_a_folder_is_read_with_all_in_it_and_what_is_neither_yaml_nor_json_is_named(tmp_path: Path) -> None:
    for name in ("b.yml", "a/c.yaml", "a/d.json", ".git/e.yaml", "a/logo.png", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    found, left = read_files([tmp_path])
    assert [str(Path(file.name).relative_to(tmp_path)) for file in found] == ["a/c.yaml", "a/d.json", "b.yml"]
    assert sorted(Path(name).name for name in left) == ["README", "logo.png"]


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"a: \x00", b"x" * (MAX_FILE_BYTES + 1)])
def test_a_yaml_file_that_is_no_text_or_too_large_is_refused_by_name(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(raw)
    with pytest.raises(UnusableFileError, match=r"x\.yaml"):
        read_files([tmp_path])
    with pytest.raises(UnusableFileError, match=r"none\.yaml"):
        read_files([tmp_path / "none.yaml"])


@given(st.lists(st.fixed_dictionaries({"id": st.from_regex(r"[a-z]{1,8}", fullmatch=True)}), unique_by=str, max_size=5))
def test_the_same_records_are_read_from_yaml_and_json_and_from_lists_and_documents(items: list[dict[str, str]]) -> None:
    records = [item | {"source_id": "s"} for item in items]
    kinds = [{"kind": "topic", **record} for record in records]
    forms = (yaml.safe_dump_all(kinds), json.dumps(kinds), yaml.safe_dump({"topics": records}))
    assert [[found.document for found in manifests(form)] for form in forms] == [records] * 3


def test_a_number_of_thousands_of_digits_is_a_complaint() -> None:
    for text in ('{"id": %s}' % ("1" * 5_000), f"id: {'1' * 5_000}"):
        (complaint,) = complaints(text)
        assert "integer" in complaint
    with pytest.raises(UnreadableError, match="integer"):
        read_json("1" * 5_000)
