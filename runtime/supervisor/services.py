"""The table of services that make up Hooklog on one machine."""

import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.asking_tls import probing_context
from runtime.embedded.broker_files import LOOPBACK
from runtime.settings import Settings
from runtime.supervisor.ports import PortUse
from runtime.supervisor.unit import ServiceSpec


def service_table(settings: Settings) -> tuple[ServiceSpec, ...]:
    """Return the services in the order in which they stop: first what takes in, last what only reads.

    Raises:
        UnusableClientFilesError: they speak TLS, and what they are to be asked with cannot be used.
    """
    host = settings.host
    tls = probing_context(settings) if settings.tls_cert else None
    return (
        # Longer than what ingest takes: 15 s for its senders, 5 for records.
        ServiceSpec("ingest", _command("ingest"), host, settings.ingest_port, 25, tls),
        # Drains: 16 s, and its clients 15.
        ServiceSpec("processors", _command("processors"), host, settings.processors_port, 40),
        ServiceSpec("projections", _command("projections"), host, settings.query_port, 15, tls),  # ends one insert
    )


def _command(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "cli.main", name)


def port_table(settings: Settings) -> tuple[PortUse, ...]:
    """Return every port that this machine must have free."""
    host = settings.host
    uses = [
        PortUse(host, settings.ingest_port, "ingest", "HOOKLOG_INGEST_PORT"),
        PortUse(host, settings.query_port, "projections", "HOOKLOG_QUERY_PORT"),
        PortUse(host, settings.processors_port, "processors", "HOOKLOG_PROCESSORS_PORT"),
    ]
    if settings.serves_sql:
        uses.append(PortUse(settings.sql_host, settings.sql_port, "projections", "HOOKLOG_SQL_PORT"))
    if settings.embedded:
        uses.append(PortUse(LOOPBACK, settings.kafka_port, "kafka", "HOOKLOG_KAFKA_PORT"))
    return tuple(uses)


def child_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return a service's variables: the inherited ones, and every setting that was chosen.

    The data directory and other files are absolute, so that a child's own working directory does not matter.
    """
    chosen = {name: getattr(settings, name) for name in settings.model_fields_set}
    chosen |= {name: path.absolute() for name, path in chosen.items() if isinstance(path, Path)}
    chosen["data_dir"] = settings.data_dir.absolute()
    variables = {f"HOOKLOG_{name.upper()}": str(value) for name, value in chosen.items()}
    if settings.embedded:
        # Its broker has one supervisor, and that one service of each kind: one name that outlives restarts will do.
        variables.setdefault("HOOKLOG_INSTANCE_ID", "supervised")
    return {**inherited, **variables, "PYTHONUNBUFFERED": "1"}  # lines appear when they are written
