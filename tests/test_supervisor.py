"""The supervisor keeps what it started, stops it in order, and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runtime.embedded.broker_files import free_port
from runtime.supervisor.backoff import Backoff
from runtime.supervisor.run_file import RunFile

STACK = Path(__file__).with_name("standin_stack.py")
DEADLINE_S = 120.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll until it holds."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended (an unburied one has)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Stack:
    """A running supervisor process over stand-ins."""

    def __init__(self, data_dir: Path, *services: str, kafka_port: int = 0) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "out.txt"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(STACK), str(data_dir), str(kafka_port), *services],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text()

    def until_ready(self) -> None:
        until(lambda: "READY" in self.text() or self.process.poll() is not None, "ready")
        assert self.process.poll() is None, self.text()

    def pids(self) -> dict[str, int]:
        """The children that run."""
        return {name: row.pid for name, row in RunFile(self.data_dir).read().items() if row.pid}

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)


@contextmanager
def stack(data_dir: Path, *services: str, kafka_port: int = 0) -> Iterator[Stack]:
    """Run a stack, and end it whatever the test did."""
    running = Stack(data_dir, *services, kafka_port=kafka_port)
    try:
        yield running
    finally:
        running.process.kill()
        running.wait()


def two_services() -> tuple[str, str]:
    return f"first:{free_port()}", f"second:{free_port()}"


def test_services_stop_in_the_order_of_the_table_and_nothing_is_left(tmp_path: Path) -> None:
    with stack(tmp_path, *two_services()) as running:
        running.until_ready()
        pids = running.pids()
        assert set(pids) == {"first", "second"}
        running.signal(signal.SIGINT)
        assert running.wait() == 0
        text = running.text()
        order = ("stopping first", "first       | leaving", "stopping second", "second      | leaving", "stopped")
        places = [text.index(line) for line in order]
        assert places == sorted(places)
        assert all(gone(pid) for pid in pids.values())
        assert not (tmp_path / "run.json").exists()


def test_a_service_that_is_killed_is_started_again_and_its_neighbour_is_left_alone(tmp_path: Path) -> None:
    with stack(tmp_path, *two_services()) as running:
        running.until_ready()
        before = running.pids()
        os.kill(before["first"], signal.SIGKILL)
        until(lambda: "first is ready again" in running.text(), "first is back")
        after = running.pids()
        assert after["first"] != before["first"]
        assert after["second"] == before["second"]
        assert "first was killed by signal 9; starting it again in 0.2 s" in running.text()


def test_no_child_outlives_a_supervisor_that_is_killed_with_9(tmp_path: Path) -> None:
    with stack(tmp_path, *two_services()) as running:
        running.until_ready()
        pids = running.pids().values()
        running.signal(signal.SIGKILL)
        running.wait()
        until(lambda: all(gone(pid) for pid in pids), "all children are gone")


def test_a_second_signal_does_not_wait_for_a_service_that_will_not_stop(tmp_path: Path) -> None:
    with stack(tmp_path, f"stubborn:{free_port()}:stubborn") as running:
        running.until_ready()
        pid = running.pids()["stubborn"]
        running.signal(signal.SIGTERM)
        until(lambda: "stopping stubborn" in running.text(), "the first signal is seen")
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert gone(pid)


def test_a_service_that_refuses_its_settings_ends_the_start(tmp_path: Path) -> None:
    with stack(tmp_path, f"good:{free_port()}", f"bad:{free_port()}:refuse") as running:
        assert running.wait() == 1
        assert "bad refused its settings" in running.text()


@pytest.mark.stack
def test_a_killed_kafka_comes_back_on_its_port_while_the_services_live_on(tmp_path: Path) -> None:
    with stack(tmp_path, f"service:{free_port()}", kafka_port=free_port()) as running:
        running.until_ready()
        before = running.pids()
        os.kill(before["kafka"], signal.SIGKILL)
        until(lambda: "kafka is ready again" in running.text(), "Kafka is back")
        after = running.pids()
        assert after["service"] == before["service"]
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert gone(after["kafka"])


def test_delays_double_to_ten_seconds_and_start_again_after_half_a_minute_of_health() -> None:
    backoff = Backoff()
    assert [backoff.after_life(1.0) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert backoff.after_life(30.0) == 0.2
    assert backoff.after_life(29.0) == 0.4
