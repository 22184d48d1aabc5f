"""`hooklog sources`, `topics` and `subscriptions`, against ingest and the real config agent."""

import os
import pty
import subprocess
from pathlib import Path

from schemas.stored import MASK
from tests.certificates_fixture import issue
from tests.cli_fixture import CommandLine, config_gateway, hooklog
from tests.ingest_fixture import Gateway

__all__ = ["config_gateway", "hooklog"]

SUBSCRIPTION = ("subscriptions", "apply", "orders-billing", "--topic", "orders", "--url", "http://127.0.0.1:9/hook")


def test_a_subscription_is_created_shown_once_with_its_secret_and_then_unchanged(hooklog: CommandLine) -> None:
    options = ["--event-type", "order.*", "--header", "X-Team: billing", "--max-in-flight", "5", "--rate-limit", "10"]
    created = hooklog.ok(*SUBSCRIPTION, *options)
    assert created.out.startswith("subscription orders-billing created, version ")
    assert "it signs with whsec_" in created.out
    again = hooklog.ok(*SUBSCRIPTION, *options, "--json").object
    record = again["record"]
    assert (again["action"], record["secret"]) == ("unchanged", MASK)
    assert (record["event_types"], record["headers"]) == (["order.*"], {"X-Team": MASK})
    assert record["rate_limit"]["per_second"] == 10
    updated = hooklog.ok(*SUBSCRIPTION, "--max-in-flight", "6", "--json").object
    assert (updated["action"], updated["record"]["max_in_flight"]) == ("updated", 6)
    assert updated["record"]["event_types"] == []
    assert hooklog.ok("subscriptions", "get", "orders-billing", "--json").object == updated["record"]


def test_a_secret_comes_from_a_file_or_standard_input_and_is_compared(hooklog: CommandLine) -> None:
    apply = ("sources", "apply", "github", "--auth-type", "github", "--secret-file", "-")
    assert "created" in hooklog.ok(*apply, stdin="hush\n").out
    assert "unchanged" in hooklog.ok(*apply, stdin="hush\n").out
    changed = hooklog.ok(*apply, stdin="another\n")
    assert "updated" in changed.out
    assert "another" not in changed.out
    assert "unchanged" in hooklog.ok("sources", "apply", "github", "--auth-type", "github").out


def test_a_source_takes_its_limits_from_options_and_from_a_file(hooklog: CommandLine) -> None:
    apply = ("sources", "apply", "shop", "--auth-type", "none")
    limits = ("--rate-limit", "50", "--burst", "80", "--allowed-ip", "192.0.2.0/24", "--allowed-ip", "::1")
    record = hooklog.ok(*apply, *limits, "--json").object["record"]
    assert record["rate_limit"] == {"per_second": 50, "burst": 80}
    assert record["allowed_ips"] == ["192.0.2.0/24", "::1"]
    hooklog.write(
        "shop.yaml",
        "kind: source\nid: shop\nauth_type: none\nallowed_ips: [192.0.2.0/24, '::1']\n"
        "rate_limit: {per_second: 50, burst: 80}\n",
    )
    assert hooklog.ok("apply", "-f", "shop.yaml").out == "0 to create, 0 to update, 0 to delete, 1 unchanged\n"
    assert hooklog(*apply, "--burst", "5").code == 2
    wrong = hooklog(*apply, "--allowed-ip", "10.0.0.1/8")
    assert (wrong.code, "allowed_ips.0: " in wrong.err, "10.0.0.0/8" in wrong.err) == (2, True, True)


def test_fields_come_from_a_file_and_options_go_before_them(hooklog: CommandLine) -> None:
    hooklog.write("orders.yaml", "kind: topic\nsource_id: shop\nname: Orders\nevent_type: {pointer: /type}\n")
    made = hooklog.ok("topics", "apply", "orders", "-f", "orders.yaml", "--name", "All orders", "--json").object
    assert (made["record"]["name"], made["record"]["source_id"]) == ("All orders", "shop")
    assert made["record"]["event_type"]["pointer"] == "/type"
    shown = hooklog.ok("topics", "get", "orders", "--json").out
    assert "unchanged" in hooklog.ok("topics", "apply", "orders", "-f", "-", stdin=shown).out
    assert hooklog("sources", "apply", "orders", "-f", "orders.yaml").code == 2
    assert hooklog("topics", "apply", "other", "-f", "-", stdin=shown).code == 2


def test_every_bad_field_is_named_and_ends_with_2(hooklog: CommandLine) -> None:
    wrong = hooklog("subscriptions", "apply", "x", "--url", "ftp://x", "--max-in-flight", "0")
    assert wrong.code == 2
    assert all(f"  {field}: " in wrong.err for field in ("topic_id", "target_url", "max_in_flight"))
    unknown = hooklog("sources", "apply", "x", "--auth-type", "carrier-pigeon")
    assert (unknown.code, "auth_type: " in unknown.err) == (2, True)
    for arguments in (("--set", "novalue"), ("--header", "no colon"), ("--timeout-s", "soon")):
        assert hooklog(*SUBSCRIPTION, *arguments).code == 2
    assert hooklog.ok("subscriptions", "list", "--json").objects == []


def test_conditions_keep_what_others_made(hooklog: CommandLine) -> None:
    topic = ("topics", "apply", "orders", "--source", "shop")
    version = hooklog.ok(*topic, "--create-only", "--json").object["record"]["version"]
    taken = hooklog(*topic, "--create-only")
    assert (taken.code, taken.err) == (1, f"hooklog: there is a topic orders already, version {version}\n")
    stale = hooklog(*topic, "--name", "X", "--if-version", str(version + 1))
    assert (stale.code, f"not version {version + 1} but {version}" in stale.err) == (1, True)
    assert hooklog("topics", "delete", "orders", "--yes", "--if-version", str(version + 1)).code == 1
    hooklog.ok(*topic, "--name", "X", "--if-version", str(version))


def test_a_list_has_all_pages_or_as_many_rows_as_were_asked_for(hooklog: CommandLine, config_gateway: Gateway) -> None:
    with config_gateway.admin as admin:
        for number in range(103):
            admin.post("/api/v1/sources", json={"id": f"s{number:03}", "auth_type": "none"})
    rows = hooklog.ok("sources", "list", "--json").objects
    assert [row["id"] for row in rows] == [f"s{number:03}" for number in range(103)]
    assert len(hooklog.ok("sources", "list", "--json", "--limit", "101").objects) == 101
    table = hooklog.ok("sources", "list", "--limit", "2").out.splitlines()
    assert [line.split()[0] for line in table] == ["id", "s000", "s001"]


def test_deleting_needs_a_yes_and_names_what_is_not_there(hooklog: CommandLine) -> None:
    for name in ("a", "b"):
        hooklog.ok("topics", "apply", name, "--source", "shop")
    unasked = hooklog("topics", "delete", "a", "b")
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    deleted = hooklog("topics", "delete", "a", "nope", "b", "--yes", "--json")
    assert (deleted.code, [item["id"] for item in deleted.objects]) == (1, ["a", "b"])
    assert "topic nope: there is none" in deleted.err
    gone = hooklog("topics", "get", "a")
    assert (gone.code, gone.err) == (1, "hooklog: there is no topic a\n")


def answer_on_a_terminal(hooklog: CommandLine, answer: str, *arguments: str) -> tuple[int, str]:
    """Runs a command whose standard input is a terminal; its exit code and what it wrote to standard error."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*hooklog.command, *arguments],
            cwd=hooklog.folder,
            env=hooklog.environment(),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(ours, f"{answer}\n".encode())
        _, told = process.communicate(timeout=120)
        return process.returncode, told
    finally:
        os.close(ours)
        os.close(theirs)


def test_on_a_terminal_it_asks_first(hooklog: CommandLine) -> None:
    hooklog.ok("topics", "apply", "a", "--source", "shop")
    code, told = answer_on_a_terminal(hooklog, "n", "topics", "delete", "a")
    assert (code, "delete topic a" in told, "nothing is changed" in told) == (1, True, True)
    assert hooklog.ok("topics", "get", "a", "--json").object["id"] == "a"
    assert answer_on_a_terminal(hooklog, "y", "topics", "delete", "a")[0] == 0
    assert hooklog("topics", "get", "a").code == 1


def test_tls_of_a_subscription_is_read_from_files_and_its_key_is_never_shown(hooklog: CommandLine) -> None:
    authority = issue("an authority", authority=True)
    ours = issue("hooklog", authority)
    hooklog.write("ca.pem", authority.pem)
    hooklog.write("cert.pem", ours.pem)
    there = ("subscriptions", "apply", "tls", "--topic", "t", "--url", "https://127.0.0.1:9/hook")
    files = ("--tls", "ca=ca.pem", "--tls", "cert=cert.pem", "--tls", "key=-", "--tls", "server-name=hooks.internal")
    made = hooklog.ok(*there, *files, "--json", stdin=ours.key_pem)
    assert made.object["record"]["tls"] == {
        "ca_pem": authority.pem,
        "client_cert_pem": ours.pem,
        "client_key_pem": MASK,
        "server_name": "hooks.internal",
    }
    assert "unchanged" in hooklog.ok(*there, *files, stdin=ours.key_pem).out
    wrong = hooklog(*there, "--tls", "cert=cert.pem", "--tls", "key=nowhere.pem")
    assert (wrong.code, "nowhere.pem" in wrong.err) == (2, True)
    assert hooklog(*there, *files[:-2], stdin=authority.key_pem).code == 2
    for part in ("cert", "verify=no", "ca="):
        assert hooklog(*there, "--tls", part).code == 2


def test_without_a_gateway_a_command_says_where_it_looked(tmp_path: Path) -> None:
    nobody = CommandLine(tmp_path, {"HOOKLOG_INGEST_URL": "http://127.0.0.1:9", "HOOKLOG_ADMIN_KEY": "x"})
    ended = nobody("sources", "list")
    assert (ended.code, "nothing answers at http://127.0.0.1:9" in ended.err) == (1, True)
