"""`hooklog apply -f`, against ingest and the real config agent."""

import json
from typing import Any

from tests.cli_fixture import CommandLine, config_gateway, hooklog
from tests.ingest_fixture import Gateway

__all__ = ["config_gateway", "hooklog"]

SHOP = """\
kind: source
id: shop
auth_type: github
secret: ${SHOP_SECRET}
---
kind: topic
id: orders
source_id: shop
description: first
"""
SUBSCRIPTIONS = """\
subscriptions:
- id: orders-billing
  topic_id: orders
  target_url: http://127.0.0.1:9/billing
  event_types: [order.*]
  headers: {X-Team: billing, Authorization: 'Bearer ${TOKEN}'}
  retry: &often {delays_s: [1, 5]}
- id: orders-audit
  topic_id: orders
  target_url: http://127.0.0.1:9/audit
  retry: *often
"""
SECRETS = {"SHOP_SECRET": "hush", "TOKEN": "whisper"}
APPLY = ("apply", "-f", "conf")


def write(hooklog: CommandLine, shop: str = SHOP, subscriptions: str = SUBSCRIPTIONS) -> None:
    hooklog.write("conf/shop.yaml", shop)
    hooklog.write("conf/teams/billing.yml", subscriptions)


def ids(hooklog: CommandLine, kind: str) -> list[str]:
    return [row["id"] for row in hooklog.ok(kind, "list", "--json").objects]


def test_a_folder_is_applied_and_applied_again_changes_nothing(hooklog: CommandLine) -> None:
    write(hooklog)
    hooklog.write("conf/README.md", "read me")
    first = hooklog.ok(*APPLY, "--yes", **SECRETS)
    assert first.out.splitlines()[-1] == "4 created, 0 updated, 0 deleted, 0 unchanged"
    assert first.out.count(" signs with whsec_") == 2
    assert "left aside, neither YAML nor JSON: conf/README.md" in first.err
    versions = [row["version"] for row in hooklog.ok("subscriptions", "list", "--json").objects]
    again = hooklog.ok(*APPLY, **SECRETS)  # nothing to ask about
    assert again.out == "0 to create, 0 to update, 0 to delete, 4 unchanged\n"
    assert [row["version"] for row in hooklog.ok("subscriptions", "list", "--json").objects] == versions
    assert ids(hooklog, "topics") == ["orders"]
    for ended in (first, again):
        assert "hush" not in ended.out + ended.err
        assert "whisper" not in ended.out + ended.err


def test_a_dry_run_shows_the_difference_field_by_field_and_writes_nothing(hooklog: CommandLine) -> None:
    write(hooklog)
    hooklog.ok(*APPLY, "--yes", **SECRETS)
    write(hooklog, SHOP.replace("first", "second"), SUBSCRIPTIONS.replace("[1, 5]", "[2]").replace("order.*", "ship.*"))
    plan = hooklog.ok(*APPLY, "--dry-run", SHOP_SECRET="other", TOKEN="louder").out
    for line in (
        "~ source shop  (conf/shop.yaml:document 1)",
        "    secret: ******** (another value)",
        "~ topic orders  (conf/shop.yaml:document 2)",
        "    description: first → second",
        "~ subscription orders-billing  (conf/teams/billing.yml:document 1)",
        '    event_types: ["order.*"] → ["ship.*"]',
        "    headers.Authorization: ******** (another value)",
        "    retry.delays_s: [1.0, 5.0] → [2.0]",
        "0 to create, 4 to update, 0 to delete, 0 unchanged",
    ):
        assert line in plan.splitlines(), plan
    assert hooklog.ok("topics", "get", "orders", "--json").object["description"] == "first"
    objects = hooklog.ok(*APPLY, "--dry-run", "--json", **SECRETS).objects
    assert [(item["id"], item["action"], item["done"]) for item in objects] == [
        ("orders", "update", False),
        ("orders-billing", "update", False),
        ("orders-audit", "update", False),
    ]
    assert objects[0]["fields"] == [{"field": "description", "before": "first", "after": "second"}]


def test_prune_deletes_what_no_file_asks_for_of_the_kinds_that_files_have(hooklog: CommandLine) -> None:
    write(hooklog)
    hooklog.ok(*APPLY, "--yes", **SECRETS)
    hooklog.ok("sources", "apply", "old", "--auth-type", "none")
    hooklog.ok("topics", "apply", "old", "--source", "old")
    hooklog.write("only/topics.json", json.dumps([{"kind": "topic", "id": "orders", "source_id": "shop"}]))
    done = hooklog.ok("apply", "-f", "only", "--prune", "--yes", "--json", **SECRETS)
    assert [(item["kind"], item["id"], item["action"]) for item in done.objects] == [
        ("topics", "orders", "update"),
        ("topics", "old", "delete"),
    ]
    assert done.err == "0 created, 1 updated, 1 deleted, 0 unchanged\n"
    assert ids(hooklog, "sources") == ["old", "shop"]
    assert hooklog.ok(*APPLY, "--prune", "--yes", **SECRETS).out.endswith(
        "0 created, 1 updated, 1 deleted, 3 unchanged\n"
    )
    assert (ids(hooklog, "sources"), len(ids(hooklog, "subscriptions"))) == (["shop"], 2)


def test_an_empty_folder_prunes_nothing(hooklog: CommandLine) -> None:
    hooklog.ok("sources", "apply", "old", "--auth-type", "none")
    hooklog.write("conf/empty.yaml", "# nothing yet\n")
    ended = hooklog(*APPLY, "--prune", "--yes")
    assert (ended.code, "there is no record in conf" in ended.err) == (2, True)
    assert ids(hooklog, "sources") == ["old"]


def test_nothing_is_written_when_anything_is_wrong_here_or_for_the_server(hooklog: CommandLine) -> None:
    write(hooklog, SHOP.replace("source_id", "source"), SUBSCRIPTIONS.replace("order.*", "7"))
    here = hooklog(*APPLY, "--yes", SHOP_SECRET="hush")
    assert here.code == 2
    for part in (
        "conf/shop.yaml:document 2: topics.source_id: ",
        "conf/shop.yaml:document 2: topics.source: ",
        "conf/teams/billing.yml:document 1: subscriptions.0.event_types.0: ",
        "subscriptions.0.headers.Authorization: needs the environment variable TOKEN, which is not set",
    ):
        assert part in here.err
    write(hooklog, SHOP.replace("github", "carrier-pigeon"))
    there = hooklog(*APPLY, "--yes", **SECRETS)
    assert (there.code, "conf/shop.yaml:document 1: sources.auth_type: must be one of" in there.err) == (2, True)
    assert [ids(hooklog, kind) for kind in ("sources", "topics", "subscriptions")] == [[], [], []]


def test_the_first_failure_stops_and_says_what_is_done_and_what_is_not(hooklog: CommandLine) -> None:
    # Only the config agent knows where deliveries may go.
    write(hooklog, subscriptions=SUBSCRIPTIONS.replace("http://127.0.0.1:9/billing", "http://10.0.0.1/"))
    failed = hooklog(*APPLY, "--yes", **SECRETS)
    assert failed.code == 1
    assert failed.out.splitlines()[-1] == "2 created, 0 updated, 0 deleted, 0 unchanged"
    assert "hooklog: subscription orders-billing: " in failed.err
    assert failed.err.endswith("hooklog: not done:\n  create subscription orders-audit\n")
    write(hooklog)
    assert hooklog.ok(*APPLY, "--yes", **SECRETS).out.endswith("2 created, 0 updated, 0 deleted, 2 unchanged\n")


def test_what_changed_after_the_comparison_is_left_alone(hooklog: CommandLine, config_gateway: Gateway) -> None:
    from cli.configure.config_api import ConfigApi
    from cli.configure.kinds import TOPIC
    from cli.configure.manifest import Manifest
    from cli.configure.plan import change_of
    from cli.configure.write import write as write_changes
    from cli.gateway import Gateway as Apis

    api = ConfigApi(Apis(config_gateway.settings))
    hooklog.ok("topics", "apply", "raced", "--source", "shop")
    document: dict[str, Any] = {"id": "raced", "source_id": "shop", "name": "ours"}
    change = change_of(Manifest(TOPIC, document, "x", ""), api.check(TOPIC, "raced", document))
    hooklog.ok("topics", "apply", "raced", "--source", "shop", "--name", "theirs")
    (written,) = write_changes(api, [change])
    assert "somebody else changed it" in written.error
    assert hooklog.ok("topics", "get", "raced", "--json").object["name"] == "theirs"


def test_standard_input_is_read_and_somebody_must_have_said_yes(hooklog: CommandLine) -> None:
    document = json.dumps({"kind": "source", "id": "piped", "auth_type": "none"})
    unasked = hooklog("apply", "-f", "-", stdin=document)
    assert (unasked.code, "+ source piped" in unasked.out, "add --yes" in unasked.err) == (2, True, True)
    assert hooklog.ok("apply", "-f", "-", "--yes", stdin=document).out.endswith(
        "1 created, 0 updated, 0 deleted, 0 unchanged\n"
    )
    assert ids(hooklog, "sources") == ["piped"]
