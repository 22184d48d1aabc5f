"""Fetches Kafka's jars once, through jgo, into the Maven cache that every Java tool on the machine shares.

Only jgo knows addresses (its own default, or the mirror in its configuration file): Hooklog names coordinates.
jgo's environment builder is not used: it fetches a second JDK just to sort jars into folders.
"""

import fcntl
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.embedded.jar_lock import LockedJar, RefuseJarsError, missing_jars, sha256_of

KAFKA_VERSION = "4.3.0"
ROOT_COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",  # left alone, jgo picks an older one
    "org.apache.logging.log4j:log4j-core:2.25.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
)
DOWNLOAD_THREADS = 6  # jars are many and small: latency rules; more would look like abuse to a mirror
REQUEST_TIMEOUT_S = 30  # the largest jar is 8 MB; this bounds one read, not the whole file

JarProgress = Callable[[int, int], None]
"""Called with (jars done, jars in all) after each jar."""


class CannotFetchJarsError(Exception):
    """The jars are not on this machine and could not be downloaded: connect once, then start again."""


def default_repository() -> Path:
    """Return the Maven cache that jgo is configured to use, normally `~/.m2/repository`."""
    return Path(_jgo_settings().repo_cache)


def default_cache() -> Path:
    """Return the directory beside jgo's own cache for things derived from the jars."""
    return Path(_jgo_settings().cache_dir) / "hooklog"


def download_jars(
    jars: tuple[LockedJar, ...], repository: Path, progress: JarProgress = lambda _done, _all: None
) -> None:
    """Put every missing jar into the repository, whole and verified, or not at all.

    Raises:
        CannotFetchJarsError: no network, or the repository does not have a jar.
        RefuseJarsError: what came down is not what the lock says.
    """
    repository.mkdir(parents=True, exist_ok=True)
    with _one_downloader(repository), tempfile.TemporaryDirectory(dir=repository, prefix=".hooklog-") as incoming:
        wanted = missing_jars(jars, repository)
        context = _maven_context(Path(incoming))
        with ThreadPoolExecutor(DOWNLOAD_THREADS) as pool:
            jobs = [pool.submit(_fetch, jar, context, repository) for jar in wanted]
            try:
                for done, job in enumerate(as_completed(jobs), start=1):
                    job.result()
                    progress(done, len(wanted))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _one_downloader(repository: Path) -> Iterator[None]:
    """Let one process download; the next finds the jars there."""
    with (repository / ".hooklog.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(jar: LockedJar, context: Any, repository: Path) -> None:
    group, artifact, version = jar.coordinate
    try:
        file = Path(context.project(group, artifact).at_version(version).artifact().resolve())
    except Exception as error:
        raise CannotFetchJarsError(f"cannot download {jar.file_name}: {error}") from error
    found = sha256_of(file)
    if found != jar.sha256:
        raise RefuseJarsError(f"downloaded {jar.file_name} has SHA-256 {found}, the lock says {jar.sha256}")
    place = repository / jar.path
    place.parent.mkdir(parents=True, exist_ok=True)
    file.replace(place)  # same file system: a crash leaves no half a jar under its final name


def resolve_lock(repository: Path) -> list[LockedJar]:
    """Work out, with Maven's rules, which jars the root coordinates need, and hash them (network, half a minute).

    Raises:
        CannotFetchJarsError: no network, or a coordinate does not exist.
    """
    from jgo.parse import Coordinate

    context = _maven_context(repository)
    roots = [context.create_dependency(Coordinate.parse(text)) for text in ROOT_COORDINATES]
    try:
        inputs, transitive = context.resolver.resolve(roots)
        files = [Path(each.artifact.resolve()) for each in inputs + transitive if not each.optional]
    except Exception as error:
        raise CannotFetchJarsError(f"cannot resolve Kafka's jars: {error}") from error
    return [LockedJar(sha256_of(file), file.relative_to(repository).as_posix()) for file in files]


def _maven_context(repository: Path) -> Any:
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(resolver=PythonResolver(), repo_cache=repository, timeout=REQUEST_TIMEOUT_S)
    # A mirror in jgo's configuration is there because the default cannot be reached: ask it first.
    context.remote_repos = {**_jgo_settings().repositories, **context.remote_repos}
    return context


def _jgo_settings() -> Any:
    from jgo.config import GlobalSettings

    return GlobalSettings.load()
