"""What the commands do with patches, filters, references and warnings, against ingest and the real config agent."""

import pytest

from schemas.stored import MASK
from tests.cli_fixture import CommandLine, config_gateway, hooklog

__all__ = ["config_gateway", "hooklog"]


@pytest.fixture
def shop(hooklog: CommandLine) -> CommandLine:
    """A source, two topics and three subscriptions."""
    documents = """
sources: [{id: shop, auth_type: none}, {id: other, auth_type: none}]
topics: [{id: orders, source_id: shop}, {id: returns, source_id: shop}, {id: else, source_id: other}]
subscriptions:
- {id: billing, topic_id: orders, target_url: 'http://127.0.0.1:9/billing', headers: {X-Team: billing}}
- {id: audit, topic_id: orders, target_url: 'http://localhost:9/audit'}
- {id: stock, topic_id: returns, target_url: 'http://127.0.0.1:9/stock'}
"""
    hooklog.ok("apply", "-f", "-", "--yes", stdin=documents)
    return hooklog


def ids(hooklog: CommandLine, *arguments: str) -> list[str]:
    return [row["id"] for row in hooklog.ok(*arguments, "--json").objects]


def test_an_update_changes_what_it_names_and_leaves_the_rest(shop: CommandLine) -> None:
    shop.ok("subscriptions", "update", "billing", "max_in_flight=5", "headers.X-More=a", "subscriber_name=Billing")
    record = shop.ok("subscriptions", "get", "billing", "--json").object
    assert (record["max_in_flight"], record["subscriber_name"]) == (5, "Billing")
    assert record["headers"] == {"X-Team": MASK, "X-More": MASK}
    changed = shop.ok("subscriptions", "update", "billing", "headers.X-More=null", "--json").object
    assert (changed["action"], changed["record"]["headers"]) == ("updated", {"X-Team": MASK})
    stale = shop("subscriptions", "update", "billing", "max_in_flight=6", "--if-version", str(record["version"]))
    assert (stale.code, "HTTP 412" in stale.err) == (1, True)
    wrong = shop("subscriptions", "update", "billing", "max_in_flight=0")
    assert (wrong.code, "  max_in_flight: " in wrong.err) == (1, True)
    gone = shop("subscriptions", "update", "nope", "max_in_flight=6")
    assert (gone.code, gone.err) == (1, "hooklog: there is no subscription nope\n")


def test_a_subscription_is_paused_and_resumed(shop: CommandLine) -> None:
    shop.ok("subscriptions", "pause", "billing")
    assert ids(shop, "subscriptions", "list", "--inactive") == ["billing"]
    shop.ok("subscriptions", "resume", "billing")
    assert ids(shop, "subscriptions", "list", "--inactive") == []


def test_lists_are_filtered(shop: CommandLine) -> None:
    assert ids(shop, "topics", "list", "--source", "shop") == ["orders", "returns"]
    assert ids(shop, "subscriptions", "list", "--topic", "orders", "--active") == ["audit", "billing"]
    assert ids(shop, "subscriptions", "list", "--url", "localhost") == ["audit"]
    assert ids(shop, "subscriptions", "list", "--search", "BILL", "--limit", "1") == ["billing"]


def test_a_delete_is_stopped_by_what_refers_to_it_unless_it_shall_go_too(shop: CommandLine) -> None:
    stopped = shop("topics", "delete", "orders", "--yes")
    assert (stopped.code, "2 subscriptions" in stopped.err, "--cascade" in stopped.err) == (1, True, True)
    assert "cascade=false" not in stopped.err, stopped.err
    asked = shop("sources", "delete", "shop", "--cascade")
    assert "delete source shop, and with it 2 topics and 3 subscriptions" in asked.err
    assert (asked.code, len(ids(shop, "subscriptions", "list"))) == (2, 3)
    deleted = shop.ok("sources", "delete", "shop", "--cascade", "--yes")
    assert deleted.out == "source shop, and with it 2 topics and 3 subscriptions deleted\n"
    assert (ids(shop, "topics", "list"), ids(shop, "subscriptions", "list")) == (["else"], [])


def test_a_prune_never_deletes_what_something_else_needs(shop: CommandLine) -> None:
    pruned = shop("apply", "-f", "-", "--prune", "--yes", stdin="sources: [{id: other, auth_type: none}]")
    assert (pruned.code, "source shop: " in pruned.err) == (1, True)
    assert ids(shop, "sources", "list") == ["other", "shop"]


def test_what_is_legal_and_without_effect_is_warned_of(hooklog: CommandLine) -> None:
    made = hooklog.ok("topics", "apply", "early", "--source", "late", "--json")
    assert "hooklog: warning: source_id: " in made.err
    assert "warnings" not in made.object["record"]
    shown = hooklog.ok("topics", "list", "--json").out
    assert "unchanged" in hooklog.ok("topics", "apply", "early", "-f", "-", stdin=shown).out
