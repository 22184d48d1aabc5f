"""`hooklog demo`, as a newcomer runs it: every count adds up, and nothing is left behind."""

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.oracle.stack import HOOKLOG, NotInTimeError, Stack

pytestmark = pytest.mark.stack

WHOLE_S = 240
"""Far above what it takes: the machine may be busy with other tests, and a first start downloads Kafka."""


def folder_environment(folder: Path) -> dict[str, str]:
    """Variables with which the demo's own folder is made in this one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLOG_")}
    return inherited | {"TMPDIR": str(folder), "HOOKLOG_DATA_DIR": str(folder / "unused")}


def test_every_count_of_the_demo_adds_up_and_its_gateway_is_gone_afterwards(tmp_path: Path) -> None:
    ended = subprocess.run(
        [HOOKLOG, "demo", "--json"],
        env=folder_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=WHOLE_S,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    report = json.loads(ended.stdout)
    assert report["ok"] is True
    assert all(check["ok"] and check["ours"] == check["theirs"] > 0 for check in report["checks"])
    assert report["sent"] == report["accepted"] + report["refused"]
    assert report["refused"] > 0
    of_endpoint = {one["endpoint"]: one for one in report["subscriptions"]}
    assert of_endpoint["healthy"]["success_rate"] == 1
    assert of_endpoint["flaky"]["retries"] == 2 * of_endpoint["flaky"]["success"]
    assert of_endpoint["dead"]["dead_letters"] == of_endpoint["dead"]["failed"] > 0
    assert {one["id"].rpartition("-")[2] for one in report["subscriptions"]} == {"pushes", "payments"}
    assert list(tmp_path.iterdir()) == []


async def test_the_demo_plays_in_a_running_gateway_and_takes_its_configuration_away(stack: Stack) -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        [HOOKLOG, "demo", "--running"],
        env=stack.environment(),
        cwd=stack.folder,
        capture_output=True,
        text=True,
        timeout=WHOLE_S,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    assert "Every count adds up" in ended.stdout
    assert "✗" not in ended.stdout
    for kind in ("sources", "topics", "subscriptions"):
        page = await stack.admin("GET", f"/api/v1/{kind}?limit=500")
        assert not [record["id"] for record in page["data"] if record["id"].startswith("demo-")]


def test_a_demo_that_is_stopped_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [HOOKLOG, "demo"],
            env=folder_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        children = _children(demo, log)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 1
    finally:
        demo.kill()
        demo.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert list(tmp_path.iterdir()) == [log]
    assert "nothing of the demo is left" in log.read_text()


def _children(demo: "subprocess.Popen[bytes]", log: Path) -> list[psutil.Process]:
    """The demo's gateway and its broker, once they run."""
    deadline = time.monotonic() + WHOLE_S
    while "starting ingest" not in log.read_text():
        if time.monotonic() > deadline or demo.poll() is not None:
            raise NotInTimeError(log.read_text())
        time.sleep(0.05)
    children: list[psutil.Process] = psutil.Process(demo.pid).children(recursive=True)
    assert any("java" in child.name() for child in children), [child.name() for child in children]
    return children
