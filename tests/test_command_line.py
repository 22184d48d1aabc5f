"""The `hooklog` command says plainly what is wrong before anything has started."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from runtime.embedded.broker_files import free_port
from runtime.supervisor.data_lock import hold_data_dir


def hooklog(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command with nothing but these settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
    environment = inherited | {"HOOKLOG_DATA_DIR": str(data_dir)} | settings
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def free_ports() -> dict[str, str]:
    names = ("INGEST_PORT", "QUERY_PORT", "PROCESSORS_PORT", "KAFKA_PORT", "SQL_PORT")
    return {f"HOOKLOG_{name}": str(free_port()) for name in names}


def test_a_taken_port_is_named_with_its_owner_and_the_variable_to_set(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = hooklog(tmp_path, "up", **free_ports() | {"HOOKLOG_QUERY_PORT": port})
    assert ended.returncode == 1
    for part in (f"port {port}", f"pid {os.getpid()}", "projections", "HOOKLOG_QUERY_PORT"):
        assert part in ended.stderr
    assert not (tmp_path / "kafka").exists()


def test_one_port_for_two_services_is_refused(tmp_path: Path) -> None:
    port = str(free_port())
    ended = hooklog(tmp_path, "up", **free_ports() | {"HOOKLOG_QUERY_PORT": port, "HOOKLOG_INGEST_PORT": port})
    assert ended.returncode == 1
    assert f"HOOKLOG_INGEST_PORT and HOOKLOG_QUERY_PORT are both {port}" in ended.stderr


def test_a_second_start_on_the_same_data_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path):
        ended = hooklog(tmp_path, "up", **free_ports())
    assert ended.returncode == 1
    assert f"another hooklog (pid {os.getpid()}) runs on {tmp_path}" in ended.stderr


def test_an_unusable_setting_is_named_and_ends_with_2(tmp_path: Path) -> None:
    ended = hooklog(tmp_path, "up", HOOKLOG_INGEST_PORT="eighty")
    assert ended.returncode == 2
    assert "HOOKLOG_INGEST_PORT='eighty'" in ended.stderr
    trusting = hooklog(tmp_path, "ingest", HOOKLOG_TRUSTED_PROXIES="*")
    assert trusting.returncode == 2
    assert "HOOKLOG_TRUSTED_PROXIES='*': * would let everybody who connects say who they are" in trusting.stderr


def test_a_service_against_a_cluster_without_an_admin_key_is_refused(tmp_path: Path) -> None:
    ended = hooklog(tmp_path, "ingest", HOOKLOG_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    assert ended.returncode == 2
    assert "HOOKLOG_" in ended.stderr


def test_status_of_nothing_lists_every_service_as_not_ready_and_ends_with_1(tmp_path: Path) -> None:
    ended = hooklog(tmp_path, "status", "--json", **free_ports())
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert found["ready"] is False
    assert list(found["services"]) == ["kafka", "ingest", "processors", "projections"]
    assert not any(service["ready"] or service["pid"] for service in found["services"].values())


def test_help_loads_nothing_that_takes_time() -> None:
    slow = {"aiokafka", "faust", "pydantic", "fastapi", "chdb", "httpx", "yaml"}
    check = f"import sys, cli.main; print({slow} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def test_an_unknown_command_ends_with_2(tmp_path: Path) -> None:
    assert hooklog(tmp_path, "dwon").returncode == 2


def test_the_version_is_told_as_an_option_and_as_a_command(tmp_path: Path) -> None:
    told = hooklog(tmp_path, "--version")
    assert (told.returncode, told.stdout) == (0, hooklog(tmp_path, "version").stdout)


def test_what_is_no_header_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    for header in ("é: x", "a b: x", ": x", "no colon"):
        ended = hooklog(tmp_path, "send", "orders", "--header", header, **free_ports())
        assert (ended.returncode, "is no header" in ended.stderr) == (2, True)
