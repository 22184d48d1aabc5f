"""Schemas of event types from the command line: given, compared, and held against what came, on a whole gateway."""

import json
from typing import Any

import pytest

from tests.cli_fixture import CommandLine, config_gateway, hooklog
from tests.oracle.stack import Stack, until
from tests.oracle.team import Team

__all__ = ["config_gateway", "hooklog"]

TYPES = """\
order.created:
  description: An order came in
  schema:
    required: [order]
    properties:
      type: {type: string}
      order: {properties: {id: {type: integer}, note: {type: [string, 'null'], default: null}}}
"""
SCHEMA = {
    "required": ["order"],
    "properties": {
        "type": {"type": "string"},
        "order": {"properties": {"id": {"type": "integer"}, "note": {"type": ["string", "null"], "default": None}}},
    },
}


def test_schemas_come_from_a_file_of_their_own(hooklog: CommandLine) -> None:
    hooklog.write("types.yaml", TYPES)
    apply = ("topics", "apply", "orders", "--source", "shop", "--event-types", "types.yaml")
    made = hooklog.ok(*apply, "--json").object["record"]
    assert made["event_types"]["order.created"] == {
        "schema": SCHEMA,
        "description": "An order came in",
        "on_invalid": "accept",
    }
    assert "unchanged" in hooklog.ok(*apply).out
    shown = hooklog.ok("topics", "get", "orders", "--json").out
    assert "unchanged" in hooklog.ok("topics", "apply", "orders", "-f", "-", stdin=shown).out
    hooklog.write("types.yaml", "- a list")
    assert hooklog(*apply).code == 2


def test_a_schema_that_cannot_be_used_is_told_by_its_type_and_place(hooklog: CommandLine) -> None:
    hooklog.write("types.json", json.dumps({"a.b": {"schema": {"$ref": "https://example.com/s"}}}))
    refused = hooklog("topics", "apply", "orders", "--source", "shop", "--event-types", "types.json")
    assert refused.code == 2
    assert "event_types.a.b.schema: /$ref: must lead to a place in this schema" in refused.err


def test_files_of_records_have_schemas_and_their_changes_are_shown_by_field(hooklog: CommandLine) -> None:
    topic: dict[str, Any] = {"kind": "topic", "id": "orders", "source_id": "shop"}
    topic["event_types"] = {"order.created": {"schema": SCHEMA}}
    hooklog.write("conf/orders.json", json.dumps(topic))
    apply = ("apply", "-f", "conf", "--yes")
    assert hooklog.ok(*apply).out.splitlines()[-1] == "1 created, 0 updated, 0 deleted, 0 unchanged"
    assert hooklog.ok(*apply).out == "0 to create, 0 to update, 0 to delete, 1 unchanged\n"
    topic["event_types"]["order.created"]["on_invalid"] = "refuse"
    hooklog.write("conf/orders.json", json.dumps(topic))
    told = hooklog.ok("apply", "-f", "conf", "--dry-run").out
    assert "event_types.order.created.on_invalid: accept → refuse" in told
    hooklog.ok(*apply)
    del topic["event_types"]
    hooklog.write("conf/orders.json", json.dumps(topic))
    hooklog.ok(*apply)
    assert hooklog.ok("topics", "get", "orders", "--json").object["event_types"] == {}


@pytest.mark.stack
async def test_what_came_is_held_against_the_schema_and_a_draft_is_made_of_it(stack: Stack, team: Team) -> None:
    topic = await team.topic(auth_type="none")
    types = {"order.created": {"schema": SCHEMA}}
    await stack.admin("PATCH", f"/api/v1/topics/{topic}", {"event_types": types})
    for at in range(10):
        order = {"id": at or "zero", "coupon": "c"}
        await stack.admin("POST", f"/api/v1/ingest/{topic}", {"type": "order.created", "order": order})
    stored = f"SELECT 1 FROM events FINAL WHERE topic_id = '{topic}' GROUP BY topic_id HAVING count() = 10"  # noqa: S608 - the test's own
    await until("ten events", lambda: stack.sql(stored))
    changed = f"SELECT 1 FROM config_changes WHERE id = '{topic}' AND record LIKE '%coupon%' = 0 AND action = 'updated'"  # noqa: S608 - as above
    await until("the topic's change", lambda: stack.sql(changed))

    told = await stack.run("topics", "drift", topic)
    assert "order.created: 10 events, 1 marked as invalid, 10 looked at" in told
    assert "not in the schema" in told
    assert "never string in the schema" in told
    document = json.loads(await stack.run("topics", "drift", topic, "--type", "order.created", "--json"))
    (found,) = document["types"]
    assert [field["pointer"] for field in found["fields"]] == ["/order/coupon", "/order/id"]
    draft = json.loads(await stack.run("topics", "infer", topic, "--type", "order.created"))
    assert draft["required"] == ["order", "type"]
    assert draft["properties"]["order"]["properties"]["id"] == {"type": ["integer", "string"]}
    assert await stack.run("topics", "drift", topic, "--type", "order.none") == "no events in this time\n"
