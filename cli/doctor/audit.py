"""What the last audit in the background found, read from the metrics of projections; also for `hooklog status`."""

import math
import re
from collections.abc import Iterator

import httpx

from cli.doctor.finding import Finding, Site, State
from runtime.supervisor.services import service_table

TIMEOUT_S = 5.0

MAX_AGE_INTERVALS = 4
"""An audit that was put off a few times is late: projections were behind, or Kafka or ClickHouse away."""

_LINE = re.compile(r'^hooklog_audit_(ok|age_seconds|offenders)(?:\{kind="(\w+)"\})? (\S+)$', re.MULTILINE)


async def check_audit(site: Site) -> Iterator[Finding]:
    """The last audit found nothing wrong, and is not long ago."""
    text = await _metrics(site)
    finding = finding_of(text, site.settings.audit_every_s) if text else None
    return iter([finding] if finding else [])


def finding_of(metrics: str, every_s: float) -> Finding | None:
    """What the metrics say; `None` where nothing is audited.

    Args:
        metrics: text of `/metrics`.
        every_s: how often there is an audit, seconds; 0 is never.
    """
    values = {(name, kind): float(value) for name, kind, value in _LINE.findall(metrics)}
    if not values or not every_s:
        return None
    wrong = {kind: int(value) for (name, kind), value in values.items() if name == "offenders" and value}
    if math.isnan(values["ok", ""]):
        return Finding("audit", State.OK, "the first one has not ended yet")
    if not values["ok", ""]:
        found = ", ".join(f"{number} {kind}" for kind, number in sorted(wrong.items()))
        return Finding("audit", State.FAIL, f"does not add up: {found}", "hooklog audit --since 1d names them")
    age_s = values["age_seconds", ""]
    if age_s > MAX_AGE_INTERVALS * every_s:
        text = f"the last one was {age_s:.0f} s ago"
        return Finding("audit", State.WARN, text, "hooklog audit says what keeps it; see the lag of projections")
    return Finding("audit", State.OK, "the last day adds up")


async def _metrics(site: Site) -> str:
    spec = next(spec for spec in service_table(site.settings) if spec.name == "projections")
    tls = site.tls(spec)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(spec.host, spec.host)
    url = f"{'https' if tls else 'http'}://{host}:{site.port(spec.name, spec.port)}/metrics"
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=tls or True) as client:
            answer = await client.get(url)
    except httpx.HTTPError:
        return ""  # the check of the services tells of it
    return answer.text if answer.is_success else ""
