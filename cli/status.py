"""`hooklog status`: what runs, and whether it can do its job, asked now."""

import asyncio
import json
import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from cli.environment import read_settings
from cli.exits import FAILED, OK, refuse

if TYPE_CHECKING:
    from runtime.settings import Settings


class ServiceStatus(TypedDict):
    """One service: its process (None when this machine's supervisor does not run it), its answer, what it waits for."""

    pid: int | None
    ready: bool
    port: int
    waits_for: str | None


class Status(TypedDict):
    """The whole: ready when every service is."""

    ready: bool
    services: dict[str, ServiceStatus]


def status(as_json: bool) -> None:
    """Print the state; exit code 0 when everything is ready, else 1."""
    settings = read_settings()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # "cannot connect" is an answer here, no error
    from runtime.asking_tls import UnusableClientFilesError

    try:
        found, missing = asyncio.run(_ask(settings))
        audited = asyncio.run(_audited(settings)) if found["services"]["projections"]["ready"] else ""
    except UnusableClientFilesError as error:
        refuse(error)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")  # what an audit found is no state of a service
    else:
        _show(found, missing, audited)
    raise SystemExit(OK if found["ready"] else FAILED)


async def _ask(settings: "Settings") -> tuple[Status, dict[str, str]]:
    """Ask everybody at once; returns the state, and what each unready service waits for."""
    from runtime.asking_tls import probing_context
    from runtime.supervisor.data_lock import holder_pid
    from runtime.supervisor.http_probe import ask_ready
    from runtime.supervisor.run_file import RunFile
    from runtime.supervisor.services import service_table

    rows = RunFile(settings.data_dir).read() if holder_pid(settings.data_dir) else {}
    pids = {name: row.pid for name, row in rows.items()}
    # What a supervisor wrote down goes before the settings: this terminal may not have the variables it ran with.
    specs = [
        replace(spec, port=rows[spec.name].port, tls=probing_context(settings) if rows[spec.name].https else None)
        if spec.name in rows
        else spec
        for spec in service_table(settings)
    ]
    bootstrap = f"127.0.0.1:{rows['kafka'].port}" if "kafka" in rows else settings.bootstrap
    kafka_ready, answers = await asyncio.gather(
        _kafka_ready(bootstrap),
        asyncio.gather(*(ask_ready(spec.host, spec.port, spec.tls) for spec in specs)),
    )
    kafka_port = int(bootstrap.partition(",")[0].rpartition(":")[2])
    missing = {} if kafka_ready else {"kafka": "does not answer"}
    missing |= {spec.name: each.missing for spec, each in zip(specs, answers, strict=True) if not each.ready}
    ports = {"kafka": kafka_port} | {spec.name: spec.port for spec in specs}
    services = {
        name: ServiceStatus(pid=pids.get(name), ready=name not in missing, port=port, waits_for=missing.get(name))
        for name, port in ports.items()
    }
    return Status(ready=not missing, services=services), missing


async def _audited(settings: "Settings") -> str:
    """What the last audit found wrong, if anything."""
    from cli.doctor.audit import check_audit
    from cli.doctor.finding import Site, State

    findings = list(await check_audit(Site.visit(settings)))
    return "; ".join(f"{item.found} ({item.remedy})" for item in findings if item.state is not State.OK)


async def _kafka_ready(bootstrap: str) -> bool:
    from runtime.embedded.kafka_probe import is_port_open, serves_metadata

    servers = [server.rpartition(":") for server in bootstrap.split(",")]
    if not any([await is_port_open(host.strip("[]"), int(port)) for host, _, port in servers]):
        return False  # nobody there: no need to load a Kafka client to learn it
    return await serves_metadata(bootstrap)


def _show(found: Status, missing: dict[str, str], audited: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("service", "state", "port", "pid"):
        table.add_column(heading)
    for name, service in found["services"].items():
        state = "[green]ready[/]" if service["ready"] else f"[red]not ready[/]: {missing[name]}"
        table.add_row(name, state, str(service["port"]), str(service["pid"] or "-"))
    Console().print(table)
    if audited:
        Console().print(f"[red]audit[/]: {audited}")
