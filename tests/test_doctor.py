"""`hooklog doctor`: what it finds where nothing runs, where something is wrong, and on a running gateway."""

import socket
from pathlib import Path
from typing import Any

import pytest

from cli.doctor.finding import Site
from cli.doctor.machine import check_ports
from runtime.embedded.broker_files import free_port
from runtime.settings import Settings
from runtime.supervisor.run_file import ServiceRow
from tests.certificates_fixture import DAY, Issued, issue
from tests.cli_fixture import CommandLine
from tests.kafka_fixture import RunningKafka
from tests.oracle.stack import Stack


@pytest.fixture
def alone(tmp_path: Path) -> CommandLine:
    """The command where nothing runs, on ports that are free."""
    names = ("INGEST_PORT", "QUERY_PORT", "PROCESSORS_PORT", "KAFKA_PORT", "SQL_PORT")
    return CommandLine(tmp_path, {f"HOOKLOG_{name}": str(free_port()) for name in names})


def findings(command: CommandLine, code: int, **variables: str) -> dict[str, dict[str, Any]]:
    ended = command("doctor", "--json", **variables)
    assert ended.code == code, ended
    return {finding["check"]: finding for finding in ended.objects}


def states(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {check: finding["state"] for check, finding in found.items()}


def test_where_nothing_runs_it_says_what_would_start_it_and_makes_nothing(alone: CommandLine) -> None:
    found = findings(alone, 0)
    for service in ("kafka", "ingest", "processors", "projections"):
        assert (found[service]["state"], found[service]["remedy"]) == ("warn", "hooklog up starts it")
    assert all(found[check]["state"] == "ok" for check in ("python", "admin key", "keyring", "data directory"))
    assert not (alone.folder / "data").exists()
    assert "→ hooklog up starts it" in alone.ok("doctor").out


def test_a_certificate_that_has_ended_ends_soon_or_cannot_be_used_is_told(alone: CommandLine) -> None:
    served = issue("hooklog")

    def examined(cert: Issued) -> dict[str, Any]:
        file = alone.write("cert.pem", cert.pem)
        key = alone.write("key.pem", served.key_pem if cert is served else cert.key_pem)
        variables = {"HOOKLOG_TLS_CERT": str(file), "HOOKLOG_TLS_KEY": str(key)}
        return {row["check"]: row for row in alone("doctor", "--json", **variables).objects}

    found = examined(served)
    assert (found["certificate"]["state"], found["certificate's key"]["state"]) == ("ok", "warn")
    for cert, state, word in (
        (issue("old", begins=-9 * DAY, ends=-DAY), "fail", "expired at"),
        (issue("soon", ends=9 * DAY), "warn", "expires at"),
    ):
        found = examined(cert)
        assert (found["certificate"]["state"], word in found["certificate"]["found"]) == (state, True)
    alone.write("cert.pem", served.pem)
    others = {"HOOKLOG_TLS_CERT": "cert.pem", "HOOKLOG_TLS_KEY": "key.pem"}
    (unusable,) = [row for row in alone("doctor", "--json", **others).objects if row["check"] == "certificate"]
    assert (unusable["state"], "HOOKLOG_TLS_KEY=key.pem" in unusable["found"]) == ("fail", True)


def test_secrets_that_others_may_read_and_a_broken_keyring_are_named_with_what_mends_them(alone: CommandLine) -> None:
    key = alone.write("data/admin.key", "key\n")
    key.chmod(0o640)
    ring = alone.write("data/keyring", "id:c2hvcnQ=\n")
    ring.chmod(0o600)
    (alone.folder / "data").chmod(0o755)
    found = findings(alone, 1)
    assert (found["admin key"]["state"], found["admin key"]["remedy"]) == ("fail", f"chmod 600 {key}")
    assert (found["keyring"]["state"], "32 bytes" in found["keyring"]["found"]) == ("fail", True)
    assert (found["data directory"]["state"], found["data directory"]["remedy"]) == ("warn", f"chmod 700 {key.parent}")
    key.chmod(0o600)
    ring.write_text("")
    emptied = findings(alone, 1)
    assert (emptied["admin key"]["state"], emptied["keyring"]["state"]) == ("ok", "fail")
    assert f"put the secret back into {ring}" in emptied["keyring"]["remedy"]


def test_an_admin_key_that_could_be_guessed_is_told(alone: CommandLine) -> None:
    short = findings(alone, 0, HOOKLOG_ADMIN_KEY="hunter2")["admin key"]
    assert (short["state"], "7 characters" in short["found"]) == ("warn", True)
    assert "hunter2" not in str(short)
    assert findings(alone, 0, HOOKLOG_ADMIN_KEY="x" * 20)["admin key"]["state"] == "ok"


def test_a_port_that_somebody_has_is_named_with_its_variable(alone: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = findings(alone, 1, HOOKLOG_QUERY_PORT=str(port))
    finding = found[f"port {port} (projections)"]
    assert (finding["state"], "HOOKLOG_QUERY_PORT" in finding["remedy"]) == ("fail", True)


async def test_the_second_port_of_a_running_service_is_not_taken_for_its_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, query_port=18_080, sql_port=18_123)
    site = Site(settings, 1, {"projections": ServiceRow(77, 18_080)})
    found = {finding.check: finding.found for finding in await check_ports(site)}
    assert found["port 18080 (projections)"] == "held by pid 77 of hooklog up"
    assert found["port 18123 (projections)"] == "of pid 77 of hooklog up, where it has the same setting"


def test_against_a_cluster_it_finds_missing_secrets_and_streams(
    alone: CommandLine, kafka: RunningKafka, tmp_path: Path
) -> None:
    cluster = {"HOOKLOG_KAFKA_BOOTSTRAP": kafka.bootstrap, "HOOKLOG_KAFKA_PREFIX": kafka.new_prefix()}
    found = findings(alone, 1, **cluster)
    assert (found["kafka"]["state"], found["streams"]["remedy"]) == ("ok", "hooklog init makes them")
    assert "set HOOKLOG_ADMIN_KEY" in found["admin key"]["remedy"]
    assert found["ingest"]["state"] == "fail"
    alone.ok("init", HOOKLOG_PARTITIONS="2", **cluster)
    assert findings(alone, 1, HOOKLOG_PARTITIONS="2", **cluster)["streams"]["state"] == "ok"
    other = findings(alone, 1, HOOKLOG_PARTITIONS="3", **cluster)["streams"]
    assert (other["state"], other["remedy"]) == ("fail", "set HOOKLOG_PARTITIONS=2 everywhere")
    gone = findings(alone, 1, HOOKLOG_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    assert (gone["kafka"]["state"], gone["kafka"]["remedy"]) == ("fail", "check HOOKLOG_KAFKA_BOOTSTRAP")
    assert not (tmp_path / "data").exists()


@pytest.mark.stack
async def test_on_a_running_gateway_everything_is_in_order(stack: Stack, tmp_path: Path) -> None:
    await stack.admin("PUT", "/api/v1/sources/doctor", {"auth_type": "none"})
    environment = {name: text for name, text in stack.environment().items() if name.startswith("HOOKLOG_")}
    running = CommandLine(tmp_path, environment)
    found = findings(running, 0)
    assert set(states(found).values()) == {"ok"}
    assert {"kafka", "streams", "clock", "ingest", "processors", "projections", "tables"} <= found.keys()
    assert found["lag of projections"]["found"].endswith("records behind")
    locked_out = findings(running, 1, HOOKLOG_ADMIN_KEY="wrong")
    assert locked_out["admin key in use"]["state"] == "fail"
    assert running.ok("schema", "openapi", "--json").object["openapi"].startswith("3.")
