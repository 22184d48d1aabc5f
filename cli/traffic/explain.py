"""`hooklog explain`: why a subscription gets an event or not."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.environment import read_settings
from cli.exits import FAILED, OK
from cli.gateway import Gateway
from cli.show import print_json, printable

EXAMPLES = ("hooklog explain 01M80QK7NHKW4FFQZ5T9BTJRYB billing",)

MEANINGS = {
    "topic": "it is of another topic",
    "subscription_inactive": "it is inactive",
    "event_type": "it asks for other event types",
    "filter": "its filter is false",
    "filter_error": "its filter failed",
    "before_subscription": "the event had come before",
}


def explain(
    event_id: Annotated[str, typer.Argument(help="The event.")],
    subscription_id: Annotated[str, typer.Argument(help="The subscription.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether a subscription, as it is now, gets an event, and why not (exit code 0 when it does)."""
    path = f"/api/v1/logs/events/{quote(event_id, safe='')}/explain"
    gateway = Gateway(read_settings())
    answer: dict[str, Any] = gateway.call("query", "GET", path, params={"subscription": subscription_id}).json()
    if as_json:
        print_json(answer)
    else:
        for line in lines_of(answer):
            typer.echo(printable(line))
    raise SystemExit(OK if answer["matched"] else FAILED)


def lines_of(answer: dict[str, Any]) -> list[str]:
    """What the answer says, for people."""
    name = answer["subscription_id"]
    if answer["matched"]:
        told = f"{name} gets it"
    else:
        detail = f": {answer['detail']}" if answer["detail"] else ""
        told = f"{name} does not get it: {MEANINGS.get(answer['reason'], answer['reason'])}{detail}"
    lines = [told, f"  event types  {', '.join(answer['event_types']) or 'all'}"]
    if answer["filter"]:
        lines.append(f"  filter       {answer['filter']}")
    saw = answer["saw"]
    shown = {key: value for key, value in saw.items() if isinstance(value, str) and value}
    lines += [f"  {key:<12} {value}" for key, value in shown.items()]
    lines.append(f"  headers      {json.dumps(saw['headers'], ensure_ascii=False)}")
    if not saw["is_json"]:
        lines.append("  event        the body is not JSON")
    dispatch = answer["dispatch"]
    if dispatch and dispatch["duplicate"]:
        lines.append("  the sender had sent it before, so that nobody got it")
    return lines
