"""Confines the projections process to what it needs, before the embedded engine is loaded into it.

The engine reads files and asks other servers if SQL gets it to. Grants and the reading of queries keep SQL from it;
what both overlook meets the kernel: no file but the engine's own data and installed code, no port but Kafka's.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge

from runtime.clickhouse import EmbeddedClickHouse
from runtime.landlock import Confinement, LandlockError, confine
from runtime.settings import Settings
from runtime.tls_files import TlsFiles

log = structlog.get_logger(__name__)

_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ld.so.cache",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/proc/self/auxv",
)
"""Libraries, names and zones. Of /proc only what the kernel tells a program at its start: an engine that cannot read it
looks for it behind the environment, and crashes now and then where that was moved, as setting a variable does. Nothing
else: the admin key stands there in a process's environment. So the engine cannot be loaded in the main thread (glibc
reads /proc/self/maps to find the end of that one's stack), and need not."""

_DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero")


def confine_projections(settings: Settings, engine: EmbeddedClickHouse, registry: CollectorRegistry) -> None:
    """Closes the rest of the machine to this process, where the kernel can; says in log and metric whether it did.

    Args:
        settings: of this process.
        engine: makes its folders and files.
        registry: has `hooklog_projections_confined`.
    """
    confined = Gauge(
        "hooklog_projections_confined", "Whether the kernel keeps the engine from this.", ["what"], registry=registry
    )
    ports = [settings.kafka_port] if settings.embedded else None  # a cluster's brokers name further ports themselves
    try:
        version = confine(Confinement(_writable(engine), _readable(settings, engine), ports))
    except LandlockError as error:
        version = 0
        log.warning("not_confined", error=str(error))
    else:
        if version:
            log.info("confined", landlock=version, network=ports is not None)
        elif sys.platform == "linux":
            log.warning("not_confined", error="this kernel has no Landlock: SQL is kept in by grants and our reading")
    confined.labels("files").set(version > 0)
    confined.labels("network").set(version >= 4 and ports is not None)  # noqa: PLR2004 - landlock(7): from then on


def _writable(engine: EmbeddedClickHouse) -> Iterator[Path]:
    yield from engine.prepare()
    yield from map(Path, _DEVICES)


def _readable(settings: Settings, engine: EmbeddedClickHouse) -> Iterator[Path]:
    yield engine.config  # where the grants are named: never to be written from here on
    yield from map(Path, _SYSTEM)
    yield from _resolver()
    yield from _code()
    files = TlsFiles.of(settings)
    for file in (files.cert, files.key, files.client_ca) if files else ():
        if file is not None:
            # The folder, since a renewed certificate is another file; and where links of one lead.
            yield file.absolute().parent
            yield file.resolve().parent


def _resolver() -> Iterator[Path]:
    """The folder of what `/etc/resolv.conf` leads to: who manages a network puts new files there."""
    folder = Path("/etc/resolv.conf").resolve().parent
    if folder != Path("/etc"):
        yield folder


def _code() -> Iterator[Path]:
    """Where modules are loaded from, also late; of our own folder only the rooms: the data may lie beside them."""
    yield from {Path(sys.prefix), Path(sys.base_prefix), Path(os.__file__).parent}
    yield from {Path(path) for path in sysconfig.get_paths().values()}
    root = Path(__file__).parent.parent
    for room in ("schemas", "rules", "runtime", "projections", "cli"):
        yield root / room
