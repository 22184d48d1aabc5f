"""The embedded broker's folder: its configuration, its identity, its logs.

```
kafka/identity.json      cluster id; written last, so its presence means "formatted"
kafka/server.properties  written again at every start: ports and settings may change, data may not
kafka/log/               the data
kafka/broker.log         Kafka's own log, bounded
kafka/console.log        what the JVM says outside of it; of the last start only
```
"""

import base64
import json
import os
import shutil
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
MAX_RECORD_BYTES = 2_621_440  # 2.5 MiB: a 2 MiB body plus headers and the batch's overhead
OFFSETS_KEPT_MINUTES = 60 * 24 * 60  # 60 days: longer than any stream is kept, so no group forgets its place
CLEANER_BUFFER_BYTES = 16_777_216  # 16 MiB holds 600,000 keys a pass; Kafka's 128 MiB is half of this heap
LOG_TAIL_LINES = 15  # what fits on a screen below an error message


class UnusableDataDirError(Exception):
    """Kafka cannot keep its data under this path: choose another data directory."""


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """Paths of the embedded broker under one folder (absolute)."""

    folder: Path

    @property
    def config(self) -> Path:
        """The broker's `server.properties`."""
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        """The folder of the partitions."""
        return self.folder / "log"

    @property
    def broker_log(self) -> Path:
        """The file that log4j writes."""
        return self.folder / "broker.log"

    @property
    def console(self) -> Path:
        """What the JVM prints."""
        return self.folder / "console.log"

    @property
    def temporary(self) -> Path:
        """Where the JVM unpacks its native libraries."""
        return self.folder / "tmp"

    @property
    def jar_memo(self) -> Path:
        """Where the jar store remembers its folders."""
        return self.folder / "jars.json"

    @property
    def _identity(self) -> Path:
        return self.folder / "identity.json"

    def prepare(self) -> None:
        """Create the folder, empty what belongs to the last start.

        Raises:
            UnusableDataDirError: the path has a comma, which Kafka reads as two directories.
        """
        if "," in str(self.folder):
            raise UnusableDataDirError(f"Kafka cannot use a path with a comma: {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()

    def is_formatted(self) -> bool:
        """Whether the data has an identity; a half-made format is removed, it holds no records yet."""
        if self._identity.is_file():
            return True
        shutil.rmtree(self.data, ignore_errors=True)
        return False

    def remember(self, cluster_id: str) -> None:
        """Mark the data as formatted."""
        draft = self._identity.with_suffix(".new")
        draft.write_text(json.dumps({"cluster_id": cluster_id}), encoding="utf-8")
        draft.replace(self._identity)

    def write_config(self, port: int, controller_port: int) -> None:
        """Write the broker's settings for these ports (both on loopback)."""
        lines = [f"{name}={_escape(str(value))}\n" for name, value in self._settings(port, controller_port)]
        self.config.write_text("".join(lines), encoding="ascii")

    def _settings(self, port: int, controller_port: int) -> list[tuple[str, object]]:
        return [
            ("process.roles", "broker,controller"),
            ("node.id", 1),
            ("controller.quorum.bootstrap.servers", f"{LOOPBACK}:{controller_port}"),
            ("listeners", f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}"),
            ("advertised.listeners", f"PLAINTEXT://{LOOPBACK}:{port}"),
            ("controller.listener.names", "CONTROLLER"),
            ("log.dirs", self.data),
            # one node: every internal stream has one copy, and few partitions to open at start
            ("offsets.topic.replication.factor", 1),
            ("offsets.topic.num.partitions", 4),
            ("transaction.state.log.replication.factor", 1),
            ("transaction.state.log.min.isr", 1),
            ("transaction.state.log.num.partitions", 4),
            ("share.coordinator.state.topic.replication.factor", 1),
            ("share.coordinator.state.topic.min.isr", 1),
            ("offsets.retention.minutes", OFFSETS_KEPT_MINUTES),
            ("group.initial.rebalance.delay.ms", 0),  # nobody else is coming on a laptop
            ("auto.create.topics.enable", "false"),  # a typing error must not become a stream
            # After kill -9 the old registration must expire first: 3 s instead of 9. Below 3 s a busy
            # machine fences its own broker.
            ("broker.session.timeout.ms", 3000),
            ("broker.heartbeat.interval.ms", 500),
            # A request goes from thread to thread, and waking one costs more than the request itself: few threads.
            ("num.network.threads", 1),
            ("num.io.threads", 2),
            ("background.threads", 2),
            ("metadata.max.idle.interval.ms", 5000),  # a record that says nothing, flushed to disk; 500 by default
            ("message.max.bytes", MAX_RECORD_BYTES),
            ("replica.fetch.max.bytes", MAX_RECORD_BYTES),
            ("log.cleaner.dedupe.buffer.size", CLEANER_BUFFER_BYTES),
        ]

    def log_tail(self) -> str:
        """Return the last lines of what Kafka said, for an error message."""
        lines = _last_lines(self.broker_log) + _last_lines(self.console)
        return "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"


def new_cluster_id() -> str:
    """Make a cluster id: 22 characters of URL-safe base64, as Kafka's own (which never start with a dash)."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _escape(value: str) -> str:
    """Escape for java.util.Properties, which reads Latin-1 and treats backslashes as its own."""
    units = value.encode("utf-16-be")
    codes = [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]
    return "".join(chr(code) if " " <= chr(code) <= "~" and code != ord("\\") else f"\\u{code:04x}" for code in codes)


def _last_lines(file: Path) -> list[str]:
    if not file.is_file():
        return []
    tail_bytes = 16_384  # far more than the lines shown; the file may have megabytes
    with file.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - tail_bytes))
        return stream.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
