"""`hooklog keys create|list|revoke`, and which key the commands send."""

from tests.cli_fixture import CommandLine, config_gateway, hooklog
from tests.ingest_fixture import ADMIN_KEY

__all__ = ["config_gateway", "hooklog"]


def test_a_key_is_made_listed_used_and_revoked(hooklog: CommandLine) -> None:
    made = hooklog.ok("keys", "create", "--name", "ci", "--role", "viewer", "--expires", "90d")
    key = made.out.strip()
    assert key.startswith("hlk_")
    assert "role viewer, expires at 20" in made.err
    key_id = key.split("_")[1]
    (row,) = [row for row in hooklog.ok("keys", "list", "--json").objects if row["id"] == key_id]
    assert (row["name"], row["role"], row["expired"]) == ("ci", "viewer", False)
    assert key not in hooklog.ok("keys", "list").out
    assert hooklog.ok("sources", "list", HOOKLOG_API_KEY=key).code == 0
    refused = hooklog("keys", "list", HOOKLOG_API_KEY=key)
    assert (refused.code, "needs the role admin" in refused.err) == (1, True)
    assert hooklog("keys", "revoke", key_id).code == 2  # nobody can be asked here
    assert hooklog.ok("keys", "revoke", key_id, "--yes").out == f"revoked {key_id}\n"
    ended = hooklog("sources", "list", HOOKLOG_API_KEY=key)
    assert (ended.code, key in ended.err) == (1, False)


def test_the_api_key_goes_before_the_admin_key(hooklog: CommandLine) -> None:
    key = hooklog.ok("keys", "create", "--name", "ci", "--role", "editor", "--json").object["key"]
    assert hooklog.ok("sources", "list", HOOKLOG_API_KEY=key, HOOKLOG_ADMIN_KEY="wrong").code == 0
    assert hooklog("sources", "list", HOOKLOG_API_KEY="wrong", HOOKLOG_ADMIN_KEY=ADMIN_KEY).code == 1


def test_a_wrong_role_or_end_is_refused_before_anything_is_asked(hooklog: CommandLine) -> None:
    assert hooklog("keys", "create", "--name", "ci", "--role", "owner").code == 2
    assert hooklog("keys", "create", "--name", "ci", "--role", "viewer", "--expires", "soon").code == 2
    assert hooklog("keys", "revoke", "nobody", "--yes").code == 1
    unsendable = hooklog("keys", "list", HOOKLOG_API_KEY="kü")
    assert (unsendable.code, "HOOKLOG_API_KEY must be printable" in unsendable.err) == (2, True)
