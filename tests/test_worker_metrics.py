"""What the workers tell at /metrics: what waits where, how long things took, and what came back."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.oracle.http import get
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

EVENTS = 5


async def figures(stack: Stack) -> dict[str, float]:
    """Every sample of the workers, by its name and labels."""
    text = (await get(stack.ports["processors"], "/metrics")).body.decode()
    return {
        ",".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_waits_for_its_retry_is_told_by_tier_and_what_was_done_is_counted(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    before = await figures(stack)
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/dead/metrics"), retry={"delays_s": [4_000]})
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    for number in range(EVENTS):
        assert (await sender.send_one("push", b'{"n":%d}' % number)).event_id

    def grown(now: dict[str, float], name: str) -> float:
        return now.get(name, 0.0) - before.get(name, 0.0)

    async def waiting() -> dict[str, float]:
        now = await figures(stack)
        return now if grown(now, "hooklog_waiting_deliveries,tier=retry.1h") == EVENTS else {}

    now = await until(f"{EVENTS} deliveries that wait in the one-hour tier", waiting, within_s=40, every_s=1)
    assert grown(now, "hooklog_answers_total,answer=5xx") >= EVENTS
    assert grown(now, "hooklog_dispatch_seconds_count") >= EVENTS
    assert grown(now, "hooklog_first_attempt_seconds_count") >= EVENTS
    assert "hooklog_lag_records,stream=events" in now
