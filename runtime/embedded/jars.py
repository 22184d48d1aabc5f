"""Kafka's class path: jars from the Maven cache, fetched once and checked against the lock at every start.

`python -m runtime.embedded.jars lock` resolves the coordinates again and rewrites the lock; review its diff.
`python -m runtime.embedded.jars fetch` downloads what is missing and prints, as JSON, where the jars are.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.embedded.guarded import GuardedProcess
from runtime.embedded.jar_download import (
    KAFKA_VERSION,
    CannotFetchJarsError,
    JarProgress,
    default_cache,
    default_repository,
    download_jars,
    resolve_lock,
)
from runtime.embedded.jar_lock import (
    LOCK_FILE,
    RefuseJarsError,
    check_jars,
    missing_jars,
    read_lock,
    write_lock,
)

PLAIN_LINE_EVERY = 10  # jars: five lines in a log file tell as much as fifty


@dataclass(frozen=True, slots=True)
class JarStore:
    """Where the jars are, and where things derived from them may be kept; both outlive the data directory."""

    repository: Path
    cache: Path

    @classmethod
    def default(cls) -> "JarStore":
        """Ask jgo for its folders (a 0.4 s import)."""
        return cls(default_repository(), default_cache())


async def fetched_store(memo: Path, lock_file: Path = LOCK_FILE) -> JarStore:
    """Return where the jars are, after fetching those that are missing.

    The fetch is a child process: Ctrl-C ends it at once, and the supervisor does not carry jgo's memory. It
    writes its result to `memo`, so that later starts need neither.

    Raises:
        RefuseJarsError: what came down is not what the lock says.
        CannotFetchJarsError: jars are missing and cannot be downloaded.
    """
    store = _complete_store(memo, lock_file)
    if store:
        return store
    command = [sys.executable, "-m", "runtime.embedded.jars", "fetch", str(memo)]
    child = await GuardedProcess.start(command, output=None)
    try:
        code = await child.wait()
    finally:
        await child.kill()
    return _result(memo, code)


def _complete_store(memo: Path, lock_file: Path) -> JarStore | None:
    """Return the store of an earlier fetch if nothing has been removed from it since."""
    if not memo.is_file():
        return None
    store = _result(memo, 0)
    if missing_jars(read_lock(lock_file), store.repository):
        memo.unlink()
        return None
    return store


def _result(memo: Path, exit_code: int) -> JarStore:
    if not memo.is_file():
        raise CannotFetchJarsError(f"fetching the jars ended with exit code {exit_code}")
    known = json.loads(memo.read_text(encoding="utf-8"))
    if "error" in known:
        memo.unlink()
        raise (RefuseJarsError if known["refused"] else CannotFetchJarsError)(known["error"])
    return JarStore(Path(known["repository"]), Path(known["cache"]))


def kafka_class_path(store: JarStore, lock_file: Path = LOCK_FILE) -> str:
    """Return the broker's class path, every jar checked (0.04 s); its order is the lock's.

    Raises:
        RefuseJarsError: a jar is missing, or not the one in the lock.
    """
    jars = read_lock(lock_file)
    check_jars(jars, store.repository)
    return os.pathsep.join(str(store.repository / jar.path) for jar in jars)


@contextmanager
def download_progress() -> Iterator[JarProgress]:
    """Show the one download: a bar on a terminal, a few plain lines elsewhere; to stderr, so pipes stay clean."""
    title = f"Downloading Apache Kafka {KAFKA_VERSION} (45 MB, only once)"
    if not sys.stderr.isatty():
        yield _plain_lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("jars"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_lines(title: str) -> Callable[[int, int], None]:
    sys.stderr.write(title + "\n")

    def line(done: int, total: int) -> None:
        if done % PLAIN_LINE_EVERY == 0 or done == total:
            sys.stderr.write(f"  {done} of {total} jars\n")
            sys.stderr.flush()

    return line


def fetch(memo: Path | None) -> int:
    """Download what is missing, check it all, write the folders or the error down; returns the exit code."""
    store = JarStore.default()
    result: dict[str, object] = {name: str(folder) for name, folder in asdict(store).items()}
    try:
        if missing_jars(read_lock(), store.repository):
            with download_progress() as progress:
                download_jars(read_lock(), store.repository, progress)
        kafka_class_path(store)
    except (RefuseJarsError, CannotFetchJarsError) as error:
        result = {"error": str(error), "refused": isinstance(error, RefuseJarsError)}
    text = json.dumps(result)
    if memo:
        memo.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    return 1 if "error" in result else 0


def main(arguments: list[str]) -> int:
    """Run `lock` or `fetch [MEMO]`; returns the exit code."""
    match arguments:
        case ["lock"]:
            jars = resolve_lock(default_repository())
            write_lock(jars)
            sys.stdout.write(f"{len(jars)} jars written to {LOCK_FILE.name}\n")
            return 0
        case ["fetch", *memo]:
            return fetch(Path(memo[0]) if memo else None)
        case _:
            sys.stderr.write("usage: python -m runtime.embedded.jars lock | fetch\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
