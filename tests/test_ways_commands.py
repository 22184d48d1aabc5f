"""`hooklog send --batch` and `hooklog topics test`, against ingest and the real config agent."""

import pytest

from schemas.streams import EVENTS
from tests.cli_fixture import CommandLine, config_gateway, hooklog
from tests.ingest_fixture import Gateway

__all__ = ["config_gateway", "hooklog"]


@pytest.fixture(autouse=True)
def topics(hooklog: CommandLine) -> None:
    hooklog.ok("sources", "apply", "github", "--auth-type", "github", "--secret", "hush")
    hooklog.ok("topics", "apply", "pushes", "--source", "github")


def test_the_lines_of_a_file_are_posted_as_one_signed_batch(hooklog: CommandLine, config_gateway: Gateway) -> None:
    file = hooklog.write("events.ndjson", '{"n":1}\n{"n":2}\n\n')
    said = hooklog.ok("send", "pushes", "--batch", str(file), "--secret", "hush").out
    assert said.startswith("accepted 2 events in ")
    found = hooklog.ok("send", "pushes", "--batch", "-", "--secret", "hush", "--json", stdin='{"n":3}').object
    assert [item["status"] for item in found["items"]] == ["QUEUED"]
    assert {b'{"n":1}', b'{"n":2}', b'{"n":3}'} <= {record.value for record in config_gateway.records(EVENTS)}


def test_what_is_not_stored_of_a_batch_is_told_and_ends_with_1(hooklog: CommandLine) -> None:
    ended = hooklog("send", "pushes", "--batch", "-", "--secret", "hush", stdin='{"n":1}\n{"n":\n')
    assert ended.code == 1
    assert ended.out.startswith("item 1: malformed: ")
    assert "items_refused: 1 of 2 items are stored" in ended.err
    forged = hooklog("send", "pushes", "--batch", "-", "--secret", "guess", stdin="{}")
    assert (forged.code, "signature_mismatch" in forged.err) == (1, True)
    assert hooklog("send", "--source", "github", "--batch", "-", "--secret", "hush", stdin="{}").code == 2
    assert hooklog("send", "pushes", "--batch", "nowhere.ndjson", "--secret", "hush").code == 2


def test_a_topic_is_tried_with_one_command(hooklog: CommandLine, config_gateway: Gateway) -> None:
    assert "of type push" in hooklog.ok("topics", "test", "pushes").out
    answer = hooklog.ok("topics", "test", "pushes", "--json").object
    assert config_gateway.event(answer["event_id"]).value.startswith(b'{"ref":')
    missing = hooklog("topics", "test", "nobody")
    assert (missing.code, "there is no such topic" in missing.err) == (1, True)
