"""What senders and endpoints wrote commands no terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.exits import refuse
from cli.show import all_printable, cell, json_text, print_json, print_table, printable
from tests.strategies import JSON

CONTROLS = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\n"}


@given(st.text())
def test_no_control_character_is_printed(text: str) -> None:
    assert not CONTROLS & set(printable(text))


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cc", "Cs"])))
def test_what_is_no_control_character_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_table_shows_an_escape_sequence_and_does_not_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"body": "\x1b]0;owned\x07\x1b[2J", "count": 3}]
    print_table(rows, ("body", "count"))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b]0;owned\\x07\\x1b[2J" in printed


def test_every_text_of_a_document_is_made_printable() -> None:
    assert all_printable({"a": ["\x1b", {"b": "\x9b1m"}], "n": 1}) == {"a": ["\\x1b", {"b": "\\x9b1m"}], "n": 1}
    assert cell("\x1b[31m") == "\\x1b[31m"


def test_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"body": "\x1b[2J"})
    assert json.loads(capsys.readouterr().out) == {"body": "\x1b[2J"}


@given(JSON)
def test_json_says_what_it_should_and_commands_no_terminal(document: object) -> None:
    for indent in (None, 2):
        text = json_text(document, indent)
        assert not CONTROLS & set(text)
        assert json.loads(text) == document


def test_c1_and_delete_are_escaped_in_json() -> None:
    assert json_text("\x7f\x9b31m") == '"\\u007f\\u009b31m"'


def test_why_a_command_ended_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        refuse("kind: \x1b[2J")
    assert capsys.readouterr().err == "hooklog: kind: \\x1b[2J\n"
