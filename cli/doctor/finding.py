"""What a check found, and what every check knows."""

import ssl
from dataclasses import dataclass, field
from enum import StrEnum

from runtime.asking_tls import probing_context
from runtime.settings import Settings
from runtime.supervisor.data_lock import holder_pid
from runtime.supervisor.run_file import RunFile, ServiceRow
from runtime.supervisor.unit import ServiceSpec
from schemas.streams import StreamNames


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, or it is simply not started."""
    FAIL = "fail"
    """It does not work, or will not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was looked at, such as `admin key`.
        found: a sentence for people.
        remedy: what mends it; empty when nothing must be.
    """

    check: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Site:
    """The Hooklog that is examined.

    Attributes:
        settings: as this terminal has them.
        holder: the process id of the supervisor on the data directory, if one runs.
        rows: what that supervisor wrote down.
    """

    settings: Settings
    holder: int | None
    rows: dict[str, ServiceRow] = field(default_factory=dict)

    @classmethod
    def visit(cls, settings: Settings) -> "Site":
        """Look who is there."""
        try:
            holder = holder_pid(settings.data_dir)
        except OSError:
            holder = None  # the check of the data directory tells of it
        return cls(settings, holder, RunFile(settings.data_dir).read() if holder else {})

    @property
    def expected_up(self) -> bool:
        """Whether something must run: a supervisor says so, or there is a cluster."""
        return self.holder is not None or not self.settings.embedded

    @property
    def bootstrap(self) -> str:
        """Where Kafka is."""
        return f"127.0.0.1:{self.rows['kafka'].port}" if "kafka" in self.rows else self.settings.bootstrap

    @property
    def names(self) -> StreamNames:
        """Turns streams into Kafka topics."""
        return StreamNames(self.settings.kafka_prefix)

    def port(self, service: str, chosen: int) -> int:
        """The port of a service: what the supervisor wrote down goes before the settings."""
        return self.rows[service].port if service in self.rows else chosen

    def tls(self, spec: ServiceSpec) -> ssl.SSLContext | None:
        """What a service is asked for its readiness with; what the supervisor wrote down goes before the settings."""
        if spec.name not in self.rows:
            return spec.tls
        return probing_context(self.settings) if self.rows[spec.name].https else None


def not_up(site: Site, check: str, found: str, remedy: str) -> Finding:
    """What does not answer: a failure only where it should."""
    if site.expected_up:
        return Finding(check, State.FAIL, found, remedy)
    return Finding(check, State.WARN, f"{found}: nothing runs on {site.settings.data_dir}", "hooklog up starts it")
