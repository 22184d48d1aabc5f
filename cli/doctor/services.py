"""Checks of the services: they are ready, they keep up, and ClickHouse has the tables."""

import re
from collections.abc import Iterator

import httpx

from cli.configure.keys import admin_key_place
from cli.doctor.finding import Finding, Site, State, not_up
from cli.gateway import Gateway
from projections.migrate import read_migrations
from runtime.supervisor.http_probe import ask_ready
from runtime.supervisor.services import service_table
from runtime.supervisor.unit import ServiceSpec

TIMEOUT_S = 5.0
"""Who takes longer for its own metrics is not well, which the check of its readiness tells."""

MAX_LAG_RECORDS = 10_000
"""Projections store that many in about a second; more than that has another reason than a busy moment."""

_LAG = re.compile(r"^(hooklog_\w*_lag_records)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
_MADE = re.compile(r"^CREATE\s+(?:TABLE|VIEW|MATERIALIZED VIEW)\s+(?:IF NOT EXISTS\s+)?(\w+)", re.MULTILINE)
_DROPPED = re.compile(r"^DROP\s+(?:TABLE|VIEW)\s+(?:IF EXISTS\s+)?(\w+)", re.MULTILINE)


async def check_services(site: Site) -> Iterator[Finding]:
    """Every service says that it can do its job."""
    findings = []
    for spec in service_table(site.settings):
        port = site.port(spec.name, spec.port)
        answer = await ask_ready(spec.host, port, site.tls(spec))
        if answer.ready:
            findings.append(Finding(spec.name, State.OK, f"ready at port {port}"))
        elif answer.status:
            remedy = "wait; if it stays so, look at what it logs"
            findings.append(Finding(spec.name, State.FAIL, f"not ready, waits for {answer.missing}", remedy))
        else:
            remedy = f"hooklog {spec.name} starts it" if not site.holder else "look at what hooklog up prints"
            findings.append(not_up(site, spec.name, f"nobody answers at port {port}", remedy))
    return iter(findings)


async def check_lag(site: Site) -> Iterator[Finding]:
    """The services keep up with what arrives."""
    return iter([found for spec in service_table(site.settings) if (found := await _lag(site, spec))])


async def _lag(site: Site, spec: ServiceSpec) -> Finding | None:
    service, tls = spec.name, site.tls(spec)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(site.settings.host, site.settings.host)
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=tls or True) as client:
            scheme = "https" if tls else "http"
            answer = await client.get(f"{scheme}://{host}:{site.port(service, spec.port)}/metrics")
    except httpx.HTTPError:
        return None  # the check of the services tells of it
    lags = {labels or name: float(value) for name, labels, value in _LAG.findall(answer.text)}
    if not lags:
        return None
    total, worst = sum(lags.values()), max(lags, key=lambda name: lags[name])
    if total <= MAX_LAG_RECORDS:
        return Finding(f"lag of {service}", State.OK, f"{total:.0f} records behind")
    text = f"{total:.0f} records behind, most of them {worst}"
    return Finding(f"lag of {service}", State.WARN, text, f"wait; if it grows, look at the log of {service}")


async def check_tables(site: Site) -> Iterator[Finding]:
    """ClickHouse has every table of every migration."""
    key = admin_key_place(site.settings)["key"]
    gateway = Gateway(site.settings)
    url = gateway.url("query")
    if key is None:
        return iter(())  # there is nobody to ask with
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=gateway.verify) as client:
            answer = await client.post(
                f"{url}/api/v1/sql",
                json={"query": "SHOW TABLES", "format": "csv"},
                headers={"Authorization": f"Bearer {key}"},
            )
    except httpx.HTTPError:
        return iter(())  # the check of the services tells of it
    return iter([_tables(answer)])


def _tables(answer: httpx.Response) -> Finding:
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        remedy = "use the key that the services were started with: HOOKLOG_ADMIN_KEY or HOOKLOG_DATA_DIR"
        return Finding("admin key in use", State.FAIL, "the query API does not take this admin key", remedy)
    if not answer.is_success:
        return Finding("tables", State.FAIL, f"ClickHouse does not answer (HTTP {answer.status_code})", "see its log")
    there = {line.strip('"') for line in answer.text.split()[1:]}
    missing = sorted(_expected() - there)
    if missing:
        return Finding("tables", State.FAIL, f"missing: {', '.join(missing)}", "start projections again: it makes them")
    return Finding("tables", State.OK, f"all {len(_expected())} are in ClickHouse")


def _expected() -> set[str]:
    text = "\n".join(migration.sql for migration in read_migrations())
    return set(_MADE.findall(text)) - set(_DROPPED.findall(text))
