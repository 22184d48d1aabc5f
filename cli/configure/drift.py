"""`hooklog topics drift` and `infer`: what events look like, beside what their topic says of them."""

import sys
from collections.abc import Mapping
from typing import Any

from cli.environment import read_settings
from cli.exits import fail
from cli.gateway import Gateway
from cli.show import json_text, print_json, print_table, printable

COLUMNS = ("pointer", "what", "types", "share", "first_seen_at", "last_seen_at")


def show_drift(
    topic_id: str, event_type: str | None, since: str | None, sample: int, *, every: bool, as_json: bool
) -> None:
    """Print where the events of a topic and its schemas have come apart."""
    answer = _asked(topic_id, event_type, since, sample, every_field=every)
    if as_json:
        print_json(answer)
        return
    if not answer["types"]:
        sys.stdout.write("no events in this time\n")
    for found in answer["types"]:
        _show_type(found)
    if answer["more_types"]:
        sys.stdout.write("there are more event types; --type shows one\n")
    if answer["refused"]:
        sys.stdout.write(f"{answer['refused']} requests were refused by the topic's schemas: hooklog rejections\n")


def show_draft(topic_id: str, event_type: str, since: str | None, sample: int) -> None:
    """Print a JSON Schema made of the events of one type."""
    answer = _asked(topic_id, event_type, since, sample, draft=True)
    draft = next((found.get("draft") for found in answer["types"] if found["event_type"] == event_type), None)
    if draft is None:
        fail(f"no event of type {printable(event_type)} in this time has a body to learn from")
    sys.stdout.write(json_text(draft, indent=2) + "\n")


def _asked(topic_id: str, event_type: str | None, since: str | None, sample: int, **more: bool) -> dict[str, Any]:
    params = {"topic_id": topic_id, "event_type": event_type, "since": since, "sample": sample}
    flags = {name: "true" for name, wanted in more.items() if wanted}
    answer = Gateway(read_settings()).call("query", "GET", "/api/v1/stats/schema-drift", params=params | flags)
    found: dict[str, Any] = answer.json()
    return found


def _show_type(found: Mapping[str, Any]) -> None:
    said = "" if found["declared"] else ", not declared"
    invalid = f", {found['invalid']} marked as invalid" if found["invalid"] else ""
    sys.stdout.write(
        f"{printable(found['event_type'])}{said}: {found['events']} events{invalid}, {found['looked_at']} looked at\n"
    )
    rows = [_row(field) for field in found["fields"]]
    rows += [
        {"pointer": item["pointer"], "what": f"required, and {item['lacking']} of {item['objects']} lacked it"}
        for item in found["missing"]
    ]
    if rows:
        print_table(rows, COLUMNS)
    elif found["looked_at"]:
        sys.stdout.write("as the schema says\n")


def _row(field: Mapping[str, Any]) -> dict[str, Any]:
    if not field["in_schema"]:
        what = "not in the schema"
    elif field["unexpected_types"]:
        what = f"never {' or '.join(field['unexpected_types'])} in the schema"
    else:
        what = ""
    types = ", ".join(f"{name} {count}" for name, count in field["types"].items())
    return {**field, "what": what, "types": types, "share": f"{field['share']:.1%}"}
