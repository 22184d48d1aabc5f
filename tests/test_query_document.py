"""Every question of docs/query.md is answered, and every command of it works."""

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest

from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from schemas.streams import OUTCOMES
from tests.cli_fixture import CommandLine
from tests.projections_fixture import ADMIN_KEY, Projections, Stages, projections
from tests.query_books import Books, store_books, until_stored, write_books

__all__ = ["projections"]

pytestmark = pytest.mark.stack

PAGE = (Path(__file__).parent.parent / "docs" / "query.md").read_text()
QUESTIONS = re.findall(r"^    GET (\S+)$", PAGE, re.MULTILINE)
COMMANDS = re.findall(r"^\$ hooklog (.+)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def books(projections: Projections) -> Books:
    written = write_books(seed=9, count=60)
    asyncio.run(_store(written, projections))
    until_stored(written, projections)
    projections.until_count("config_changes", 1)
    return written


async def _store(books: Books, projections: Projections) -> None:
    await store_books(books, projections)
    made = Outcome(
        kind="subscriptions",
        id="billing",
        intake_offset=3,
        at_ms=books.now_ms - 3 * 86_400_000,
        result=OutcomeResult.APPLIED,
        action=OutcomeAction.CREATED,
        version=3,
        record={"id": "billing", "target_url": "https://example.com/"},
        actor="admin",
    )
    async with Stages(projections.settings) as stages:
        await stages.raw(OUTCOMES, encode_outcome(made))


def test_every_question_is_answered(projections: Projections, books: Books) -> None:
    tried = books.attempts[0]
    for question in QUESTIONS:
        path = question.format(event_id=tried.event_id, delivery_id=tried.delivery_id)
        status, body = projections.get(path)
        assert (status, len(body) > 0 or "ndjson" in path) == (200, True), (path, body)
    assert len(QUESTIONS) >= 15
    (found,) = json.loads(projections.get("/api/v1/logs/events?field=/n=42")[1])["data"]
    assert found["event_id"] == books.events[42].event_id


def test_every_command_works(projections: Projections, books: Books, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{projections.settings.query_port}"
    hooklog = CommandLine(tmp_path, {"HOOKLOG_QUERY_URL": url, "HOOKLOG_ADMIN_KEY": ADMIN_KEY})
    printed = {command: hooklog.ok(*shlex.split(command)).out for command in COMMANDS}
    assert len(printed) == 6
    search, show, diff, history, table, events = printed.values()
    assert books.events[42].event_id in search
    assert len(search.splitlines()) == 2
    assert "billing" in show
    assert "+ subscriptions/billing" not in diff.splitlines()[1:]
    assert history.splitlines()[0].startswith("+ version 3")
    assert "    /target_url: (none) → https://example.com/" in history.splitlines()
    assert len(table.splitlines()) == 1 + len(books.attempts)
    of_orders = [event for event in books.events if event.topic_id == "orders"]
    assert sorted(json.loads(line)["payload"] for line in events.splitlines()) == sorted(
        event.body.decode() for event in of_orders
    )
    assert hooklog("export", "events", "--where", "x").code == 2
    assert "query.nothing" in hooklog("export", "events", "--where", "nothing=1").err


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    from projections.query.logs import MAX_STREAMED_LISTS
    from projections.query.tail import MAX_WATCH_S, MAX_WATCHERS

    assert (MAX_STREAMED_LISTS, MAX_WATCHERS, MAX_WATCH_S) == (4, 8, 15 * 60)
