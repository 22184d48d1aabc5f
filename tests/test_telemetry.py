"""Log lines are one JSON object each, and hold no credentials."""

import json
import subprocess
import sys

CANARY = "canary-5f1e"


def lines_of(program: str) -> list[dict[str, object]]:
    """What a process logs that runs this program."""
    start = "import structlog; from runtime.telemetry import configure_logging; configure_logging('info');"
    ended = subprocess.run([sys.executable, "-c", start + program], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_whatever_has_the_name_of_a_credential_is_hidden() -> None:
    names = (
        "secret",
        "secrets",
        "Authorization",
        "admin_key",
        "encryption_keys",
        "X-Gitlab-Token",
        "x-api-key",
        "webhook_signature",
    )
    fields = ", ".join(f"{name!r}: {CANARY!r}" for name in (*names, "password", "set-cookie"))
    (line,) = lines_of(f"structlog.get_logger().info('told', **{{{fields}}}, headers={{'authorization': {CANARY!r}}})")
    assert CANARY not in json.dumps(line)
    assert line["secret"] == "[redacted]"
    assert line["headers"] == {"authorization": "[redacted]"}


def test_what_is_no_credential_is_told() -> None:
    (line,) = lines_of("structlog.get_logger().info('told', event_id='e', skipped={'event_type': 2}, dedup_key='k')")
    assert (line["event"], line["event_id"], line["skipped"], line["level"]) == ("told", "e", {"event_type": 2}, "info")
    assert line["dedup_key"] == "k"
