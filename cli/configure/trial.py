"""`hooklog subscriptions try`: what a subscription would have delivered, before anybody applies it."""

from pathlib import Path
from typing import Any

import typer

from cli.configure.kinds import SUBSCRIPTION
from cli.configure.one_file import read_one
from cli.environment import read_settings
from cli.exits import FAILED, refuse
from cli.gateway import Gateway, complaint
from cli.show import print_json, printable

PATH = "/api/v1/subscriptions/try"
_WRONG = 422


def try_one(file: Path, record_id: str | None, asked: dict[str, Any], *, as_json: bool) -> None:
    """Ask what the subscription in a file would do, and print it; nothing is sent or stored.

    Args:
        file: has the subscription; `-` is standard input.
        record_id: its id, when the file does not say it.
        asked: `event_id`, or `since` and `until`, and `examples`.
        as_json: print the answer as it is.
    """
    document = read_one(SUBSCRIPTION, file)
    if record_id and document.setdefault("id", record_id) != record_id:
        refuse(f"{file} is about {document['id']}, not about {record_id}")
    known = {name: value for name, value in asked.items() if value is not None}
    body = {"subscription": document, **known}
    answer = Gateway(read_settings()).call("query", "POST", PATH, document=body, allow=(_WRONG,))
    if answer.status_code == _WRONG:
        refuse(f"this {SUBSCRIPTION.one} cannot be tried: {complaint(answer)}")
    told: dict[str, Any] = answer.json()
    if as_json:
        print_json(told)
    else:
        for line in lines_of(told):
            typer.echo(printable(line))
    if told["payload_expired"]:
        raise SystemExit(FAILED)  # it is not known what becomes of those


def lines_of(told: dict[str, Any]) -> list[str]:
    """What the answer says, for people."""
    lines = [_events_line(told), *_side("it would", told)]
    if told["payload_expired"]:
        lines.append(f"{told['payload_expired']} events could not be judged: their payload is not kept any more")
    if told["today"] is None:
        lines.append(f"there is no subscription {told['subscription_id']} to compare with")
    else:
        lines += _side(f"today's version {told['today_version']} would", told["today"])
        changes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in told["changes"].items())
        lines.append(f"against it: {changes}")
        lines += [f"  header {name}: {what}" for what, names in told["headers"].items() for name in names]
    for name, examples in told["examples"].items():
        lines.append(f"{name.replace('_', ' ')}, for example:")
        for example in examples:
            lines += _example(example)
    return lines


def _events_line(told: dict[str, Any]) -> str:
    if told["one_in"] == 1:
        return f"{told['looked_at']} events were looked at"
    part = f"{told['looked_at']} of {told['events']} events were looked at"
    return f"{part}, one in {told['one_in']} by a hash of their ids: all counts are of these"


def _side(who: str, side: dict[str, Any]) -> list[str]:
    lines = [f"{who} deliver {side['delivered']}"]
    lines += [f"  skip {count}: {reason}" for reason, count in side["skipped"].items()]
    return lines + [f"  make {count} dead letters: {reason}" for reason, count in side["dead"].items()]


def _example(example: dict[str, Any]) -> list[str]:
    why = ": ".join(filter(None, (example.get("reason", ""), example.get("detail", ""))))
    lines = [f"  {example['event_id']} {example['event_type']} {why}".rstrip()]
    if "diff" in example:
        before, after = example["before"]["content_type"], example["content_type"]
        lines += [f"    content-type: {before} -> {after}"] if before != after else []
        lines += [f"    {line}" for line in example["diff"] or ["(only its spelling differs)"]]
    elif "body" in example:
        lines.append(f"    {example['body']}")
    return lines
