"""What all tests share: the session's broker, and how hard properties are tried."""

import asyncio
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka_fixture import forgotten_streams, kafka, session_kafka
from tests.oracle.receiver import Receiver
from tests.oracle.stack import Stack
from tests.oracle.team import Team
from tests.oracle.trial import Trial

__all__ = ["forgotten_streams", "kafka", "session_kafka"]  # fixtures, found by pytest in this namespace

# No deadline: a busy machine is no failure. Derandomised, so that a failure on one machine is one on all.
settings.register_profile("test", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The session's gateway: `hooklog up`, on free ports, in a folder of its own."""
    running = Stack(tmp_path_factory.mktemp("stack"), session_timeout_s=10)
    try:
        asyncio.run(running.up())
        yield running
    finally:
        asyncio.run(running.down())


@pytest.fixture(scope="session")
def team(stack: Stack) -> Team:
    """Makes sources, topics and subscriptions in it."""
    return Team(stack)


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """The session's receiver, which keeps every body."""
    with Receiver(keep_bodies=True) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the end of the gateway's output with every failure of a test that uses it."""
    report = yield
    for used in getattr(item, "funcargs", {}).values():
        running = used.stack if isinstance(used, Trial) else used
        if report.failed and isinstance(running, Stack):
            report.sections.append(("the gateway's output", running.tails()))
    return report
