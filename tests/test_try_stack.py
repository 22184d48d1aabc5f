"""What `subscriptions try` says beforehand is what the gateway then does with the same events."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Sender
from tests.oracle.stack import HOOKLOG, Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

BODIES = [
    *(b'{"ref":"refs/heads/main","n":%d}' % number for number in range(5)),
    b'{"ref":"refs/heads/dev","n":7}',
    b'{"ref":"refs/heads/main"}',  # the transform fails
    b'{"n":8}',
    b'{"ref":"refs/heads/main","n":2,"big":"%b"}' % (b"x" * 100_000),  # travels by reference
    b"no JSON at all",
]
TYPES = ("push", "ping")


async def send_all(stack: Stack, topic: str) -> list[str]:
    """Every body under every type; the ids, when all of them were dispatched and can be read."""
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    sent = [(await sender.send_one(kind, body)).event_id for kind in TYPES for body in BODIES]
    ids = ",".join(f"'{one}'" for one in sent)

    async def dispatched() -> bool:
        events = await stack.sql(f"SELECT count() AS n FROM events FINAL WHERE event_id IN ({ids})")  # noqa: S608 - ours
        made = await stack.sql(f"SELECT count() AS n FROM dispatches FINAL WHERE event_id IN ({ids})")  # noqa: S608
        return bool(events == made == [{"n": len(sent)}])

    await until("all dispatched", dispatched)
    return sent


async def tried(stack: Stack, file: Path, *arguments: str) -> dict[str, Any]:
    """What the command says."""
    text = await stack.run("subscriptions", "try", str(file), "--since", "1h", "--examples", "20", "--json", *arguments)
    told: dict[str, Any] = json.loads(text)
    return told


async def really(stack: Stack, events: list[str]) -> dict[str, Any]:
    """What became of these events, as the tables tell, when every delivery of them has ended."""
    ids = ",".join(f"'{one}'" for one in events)
    where = f"WHERE event_id IN ({ids})"

    async def ended() -> list[dict[str, Any]] | None:
        (made,) = await stack.sql(f"SELECT sum(matched) AS n FROM dispatches FINAL {where}")  # noqa: S608 - ours
        ends = f"FROM deliveries FINAL {where} AND status IN ('SUCCESS', 'FAILED')"
        found = await stack.sql(f"SELECT status, reason {ends}")
        return found if len(found) == int(made["n"]) else None

    deliveries = await until("the end of every delivery", ended)
    skipped: Counter[str] = Counter()
    for row in await stack.sql(f"SELECT skipped FROM dispatches FINAL {where}"):  # noqa: S608 - ours
        skipped.update({reason: int(count) for reason, count in row["skipped"].items()})
    dead = Counter(row["reason"] for row in deliveries if row["status"] == "FAILED")
    delivered = sum(row["status"] == "SUCCESS" for row in deliveries)
    return {"delivered": delivered, "skipped": dict(skipped), "dead": dict(dead)}


async def test_the_answer_is_what_the_gateway_does_once_the_file_is_applied(
    stack: Stack, team: Team, receiver: Receiver, tmp_path: Path
) -> None:
    topic, name = await team.github_topic(), team.name("tried")
    await send_all(stack, topic)
    first = {
        "id": name,
        "topic_id": topic,
        "target_url": receiver.url(f"/ok/{name}"),
        "event_types": ["pu*"],
        "filter": "branch == 'main' || event.n > 7",
        "transform": "{'n': event.n, 'by': headers['x-github-event']}",
        "format": "cloudevents",
    }
    second = first | {"filter": "event.n > 1", "event_types": [], "format": "raw"}
    foretold: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    for number, fields in enumerate((first, second)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(fields))
        answer = await tried(stack, file)
        foretold.append({key: answer[key] for key in ("delivered", "skipped", "dead")})
        assert (answer["today_version"] is None) == (number == 0)
        if number:
            assert answer["today"] == _times(happened[0], 2)
        await stack.run("subscriptions", "apply", name, "--file", str(file))
        before = len(await receiver.at(f"/ok/{name}"))
        events = await send_all(stack, topic)
        happened.append(await really(stack, events))
        if number == 0:
            bodies = {body_of(entry) for entry in (await receiver.at(f"/ok/{name}"))[before:]}
            shown = {_without_id(one["body"]) for one in answer["examples"]["delivered"]}
            assert shown == {_without_id(body.decode()) for body in bodies}
    rounds = [1, 2]  # the second time, the events of both rounds were looked at
    assert foretold == [_times(done, count) for done, count in zip(happened, rounds, strict=True)]
    assert happened[0]["dead"] == {"transform_failed": 1}
    assert set(happened[0]["skipped"]) == {"event_type", "filter", "filter_error"}


def _times(side: dict[str, Any], count: int) -> dict[str, Any]:
    return {
        key: value * count if isinstance(value, int) else {name: number * count for name, number in value.items()}
        for key, value in side.items()
    }


def _without_id(text: str) -> str:
    document = json.loads(text)
    return json.dumps({key: value for key, value in document.items() if key not in {"id", "time"}}, sort_keys=True)


async def test_a_wrong_file_is_refused_as_apply_refuses_it(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("id: wrong-one\ntopic_id: orders\ntarget_url: http://10.0.0.1/\nfilter: branch ==\n")
    said = []
    for arguments in (("try", str(file)), ("apply", "wrong-one", "--file", str(file))):
        process = await asyncio.create_subprocess_exec(
            HOOKLOG,
            "subscriptions",
            *arguments,
            env=stack.environment(),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        assert process.returncode == 2
        said.append([line.strip() for line in err.decode().splitlines()[1:]])
    assert said[0][0].startswith("filter: line 1, column 10: Syntax error")
    assert said[0] == said[1]
    assert (await stack.call("GET", "/api/v1/subscriptions/wrong-one")).status == 404
