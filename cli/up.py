"""`hooklog up`: the whole of Hooklog on this machine, in the foreground."""

import asyncio
import logging
import os
import sys
import time

import structlog

from cli.environment import read_settings
from cli.exits import fail, refuse
from cli.ready_block import print_ready_block
from runtime.asking_tls import UnusableClientFilesError, probing_context
from runtime.embedded.kafka import EmbeddedKafka
from runtime.secrets_files import SetSecretError, load_admin_key, load_encryption_keys, make_data_dir
from runtime.settings import Settings
from runtime.supervisor.data_lock import StopTheOtherError, hold_data_dir
from runtime.supervisor.output import Output
from runtime.supervisor.ports import FreePortError, require_free_ports
from runtime.supervisor.run_file import RunFile
from runtime.supervisor.services import child_environment, port_table, service_table
from runtime.supervisor.supervisor import Supervisor
from runtime.supervisor.unit import KafkaUnit, ServiceUnit
from runtime.tls_files import TlsFiles, UnusableTlsFilesError

PREPARE_TIMEOUT_S = 60.0  # creating every stream on a loaded laptop takes two seconds


def up() -> None:
    """Start everything, keep it running, and stop it in order on Ctrl-C; returns when all has stopped."""
    settings = read_settings()
    _check_tls(settings)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # refused connections are how a start looks
    try:
        make_data_dir(settings)
        with hold_data_dir(settings.data_dir):
            require_free_ports(port_table(settings))
            load_admin_key(settings)  # made now: the services that ask for it find it
            load_encryption_keys(settings)
            code = asyncio.run(_run(settings))
    except (StopTheOtherError, FreePortError, SetSecretError, OSError) as error:
        fail(error)
    raise SystemExit(code)


def _check_tls(settings: Settings) -> None:
    """Refuse what every service would refuse, and what would leave the supervisor unable to ask them."""
    if settings.tls_client_ca and not settings.client_cert:
        refuse("HOOKLOG_TLS_CLIENT_CA asks everybody for a certificate, this supervisor too: set HOOKLOG_CLIENT_CERT")
    try:
        files = TlsFiles.of(settings)
        if files:
            files.context()
            probing_context(settings)
    except (UnusableTlsFilesError, UnusableClientFilesError) as error:
        refuse(error)


async def _run(settings: Settings) -> int:
    output = Output(sys.stdout, sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    structlog.configure(processors=[_log_to(output)])
    supervisor = build(settings, output)
    supervisor.handle_signals()
    return await supervisor.run()


def build(settings: Settings, output: Output) -> Supervisor:
    """Put the parts together."""
    environment = child_environment(settings, os.environ)
    kafka = EmbeddedKafka(settings.data_dir / "kafka", settings.kafka_port, make_archive=True)
    return Supervisor(
        kafka=KafkaUnit(kafka) if settings.embedded else None,
        services=[ServiceUnit(spec, environment, output) for spec in service_table(settings)],
        prepare=lambda: _prepare(settings),
        run_file=RunFile(settings.data_dir),
        output=output,
        on_ready=lambda: print_ready_block(settings, _age_s()),
    )


async def _prepare(settings: Settings) -> None:
    from runtime.streams import create_streams

    await asyncio.wait_for(create_streams(settings), PREPARE_TIMEOUT_S)


def _log_to(output: Output) -> structlog.typing.Processor:
    """Give what this process logs the form of its other lines."""

    def write(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.ProcessorReturnValue:
        what = event.pop("event")
        output.line("hooklog", " ".join([str(what), *(f"{name}={value}" for name, value in event.items())]))
        raise structlog.DropEvent

    return write


def _age_s() -> float:
    """Return how long this process has existed: what the person who typed the command has waited."""
    import psutil

    return max(0.0, time.time() - float(psutil.Process().create_time()))
