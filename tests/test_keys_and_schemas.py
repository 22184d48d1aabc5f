"""`hooklog keys` and `hooklog schema`: what they print can be used, and nothing needs to run."""

from pathlib import Path

import pytest

from rules.sign import signing_key
from runtime.embedded.broker_files import free_port
from runtime.keyring import Keyring
from schemas.streams import ALL_STREAMS
from tests.cli_fixture import CommandLine


@pytest.fixture
def alone(tmp_path: Path) -> CommandLine:
    """The command where nothing runs."""
    return CommandLine(tmp_path, {})


def test_a_made_secret_signs_and_a_made_entry_encrypts(alone: CommandLine) -> None:
    assert len(signing_key(alone.ok("keys", "secret").out.strip())) == 32
    made = alone.ok("encryption", "new-key", "--id", "2026")
    keyring = Keyring.parse(made.out)
    assert list(keyring.keys) == ["2026"]
    assert keyring.unseal(keyring.seal("hush", "x"), "x") == "hush"
    assert "hooklog encryption rotate" in made.err
    assert alone("encryption", "new-key", "--id", "a:b").code == 2


def test_a_question_makes_no_admin_key_where_nothing_runs(alone: CommandLine) -> None:
    for command in (("sources", "list"), ("deliveries",), ("sql", "SELECT 1"), ("status",)):
        unused = str(free_port())
        assert alone(*command, HOOKLOG_INGEST_PORT=unused, HOOKLOG_QUERY_PORT=unused).code == 1
    assert not (alone.folder / "data").exists()


def test_the_admin_key_is_shown_only_when_it_shall_be_and_never_made(alone: CommandLine) -> None:
    none = alone("keys", "show")
    assert (none.code, "there is no admin key yet" in none.err) == (1, True)
    assert not (alone.folder / "data").exists()
    file = alone.write("data/admin.key", "the-key\n")
    file.chmod(0o600)
    assert alone.ok("keys", "show").out == f"{file}\n"
    assert alone.ok("keys", "show", "--reveal").out == "the-key\n"
    assert "key" not in alone.ok("keys", "show", "--json").object
    file.chmod(0o644)
    assert f"chmod 600 {file}" in alone.ok("keys", "show").err
    variable = alone.ok("keys", "show", "--json", "--reveal", HOOKLOG_ADMIN_KEY="set").object
    assert (variable["variable"], variable["key"]) == ("HOOKLOG_ADMIN_KEY", "set")


def test_every_schema_in_the_list_that_needs_no_gateway_is_printed(alone: CommandLine) -> None:
    names = [row["name"] for row in alone.ok("schema", "--json").objects]
    for name in set(names) - {"openapi", "streams"}:
        schema = alone.ok("schema", name, "--json").object
        assert "properties" in schema or schema["$ref"].rpartition("/")[2] in schema["$defs"], name
    assert "target_url" in alone.ok("schema", "subscriptions").out
    wrong = alone("schema", "attempts")
    assert (wrong.code, "attempt, dispatch" in wrong.err) == (2, True)


def test_every_stream_is_listed_with_its_key_and_what_it_holds(alone: CommandLine) -> None:
    rows = alone.ok("schema", "streams", "--json", HOOKLOG_KAFKA_PREFIX="x.", HOOKLOG_PARTITIONS="3").objects
    assert [row["name"] for row in rows] == [f"x.{stream.name}" for stream in ALL_STREAMS]
    assert all(row["key"] and row["holds"] for row in rows)
    assert {row["partitions"] for row in rows} == {1, 3}
