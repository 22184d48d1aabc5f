"""The committed list of Kafka's jars: what may be on the broker's class path, and its exact bytes.

A line is `sha256  path`, where path is the jar's place in a Maven repository
(`group/parts/artifact/version/file.jar`), so `sha256sum -c` understands the file too and no dependency
resolution is needed to know what to fetch.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LOCK_FILE = Path(__file__).with_name("jars.lock")
HASH_THREADS = 4  # hashing releases the GIL; more threads than a laptop's cores gain nothing
SHA256_HEX_LENGTH = 64
PATH_PARTS_MIN = 4  # group, artifact, version, file


class RefuseJarsError(Exception):
    """The jars are not the ones that were reviewed: do not start the broker, do what the message says."""


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar of the lock: its SHA-256 (lower-case hex) and its path inside a Maven repository."""

    sha256: str
    path: str

    @property
    def coordinate(self) -> tuple[str, str, str]:
        """Group, artifact and version, as Maven names them."""
        *group, artifact, version, _file = PurePosixPath(self.path).parts
        return ".".join(group), artifact, version

    @property
    def file_name(self) -> str:
        """The jar's own name, without its folder."""
        return PurePosixPath(self.path).name


def read_lock(lock_file: Path = LOCK_FILE) -> tuple[LockedJar, ...]:
    """Read the lock.

    Raises:
        RefuseJarsError: the file is missing, empty or malformed; the error names the line.
    """
    if not lock_file.is_file():
        raise RefuseJarsError(f"{lock_file.name} is missing: without it no jar can be trusted")
    lines = lock_file.read_text(encoding="ascii").splitlines()
    jars = tuple(_parse(number, line) for number, line in enumerate(lines, start=1) if line.strip())
    if not jars:
        raise RefuseJarsError(f"{lock_file.name} lists no jars")
    return jars


def _parse(number: int, line: str) -> LockedJar:
    sha256, _, path = line.partition("  ")
    parts = PurePosixPath(path).parts
    if len(sha256) != SHA256_HEX_LENGTH or len(parts) < PATH_PARTS_MIN or {"..", "/"} & set(parts):
        raise RefuseJarsError(f"line {number} of the jar lock is not `sha256  path`: {line!r}")
    return LockedJar(sha256=sha256, path=path)


def write_lock(jars: list[LockedJar], lock_file: Path = LOCK_FILE) -> None:
    """Write the lock, sorted by path, so that a new version shows as a small diff."""
    lines = [f"{jar.sha256}  {jar.path}\n" for jar in sorted(jars, key=lambda jar: jar.path)]
    lock_file.write_text("".join(lines), encoding="ascii")


def sha256_of(file: Path) -> str:
    """Hash a file, in lower-case hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def missing_jars(jars: tuple[LockedJar, ...], repository: Path) -> list[LockedJar]:
    """List the locked jars that are not in the repository yet."""
    return [jar for jar in jars if not (repository / jar.path).is_file()]


def check_jars(jars: tuple[LockedJar, ...], repository: Path) -> None:
    """Compare every jar with its hash.

    Raises:
        RefuseJarsError: a jar differs or is absent; the error names each of them.
    """
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        problems = [problem for problem in pool.map(lambda jar: _problem(jar, repository), jars) if problem]
    if problems:
        raise RefuseJarsError("refusing to run Kafka with jars that were not reviewed:\n" + "\n".join(problems))


def _problem(jar: LockedJar, repository: Path) -> str:
    file = repository / jar.path
    if not file.is_file():
        return f"  {jar.file_name} is missing from {repository}"
    found = sha256_of(file)
    if found == jar.sha256:
        return ""
    return f"  {file} has SHA-256 {found}, the lock says {jar.sha256}; delete it to fetch it again"
