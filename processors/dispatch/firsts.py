"""The first event of each sender's id, on disk: one SQLite file for each partition.

It holds nothing that the dispatches stream does not: whatever is wrong with a file, it is made again from there.
Rows are in two tables. The young one takes what is new. When all that the old one has is expired, it is emptied, which
costs the same however many there are, and becomes the young one.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import structlog

from rules.dedup import First, Sighting

log = structlog.get_logger(__name__)

MAX_UNWRITTEN = 2_000
"""Records in memory before they are written: ids are random, and many together share pages. A crash has them read
again, which takes less than a second."""

_SETTINGS = (
    "PRAGMA locking_mode = EXCLUSIVE",  # another worker with the same folder takes a file of its own
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # whole after any crash; what a power cut takes is read again
    "PRAGMA cache_size = -4096",  # 4 MiB for each partition
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MiB: the more at once, the fewer pages are written twice
)
_TABLES = (
    *(
        f"CREATE TABLE IF NOT EXISTS firsts_{number} (hash BLOB, event_offset INTEGER, at_ms INTEGER,"
        " PRIMARY KEY (hash, event_offset)) WITHOUT ROWID"
        for number in (0, 1)
    ),
    "CREATE TABLE IF NOT EXISTS state (position, marked_ms, floor_ms, young, since_ms, newest_ms)",
)
_FRESH = (0, 0, 1 << 62, 0, 0, 0)
"""A file that is complete for no time at all."""

_MAX_ASKED = 500
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Mark(NamedTuple):
    """How far the dispatches stream is applied.

    Attributes:
        position: the offset after the last record that is.
        at_ms: when the broker appended that record; a stream that was made anew has none of that time there.
    """

    position: int
    at_ms: int


class Firsts:
    """The first ones of one partition.

    Args:
        path: of the file; made when it is not there.

    Attributes:
        mark: how far the dispatches stream is applied.
        floor_ms: first ones that were appended since then are complete.
        count: how many are kept.

    Raises:
        sqlite3.DatabaseError: another process has the file, it is broken, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = _connect(path)
        row: tuple[int, ...] = self._db.execute("SELECT * FROM state").fetchone() or _FRESH
        position, marked_ms, self.floor_ms, self._young, self._since_ms, self._newest_ms = row
        self.mark = Mark(position, marked_ms)
        self._written = position
        self._unwritten: defaultdict[bytes, list[First]] = defaultdict(list)
        self.count = sum(self._db.execute(f"SELECT count(*) FROM firsts_{n}").fetchone()[0] for n in (0, 1))  # noqa: S608

    @classmethod
    def of(cls, folder: Path, name: str) -> Self:
        """The first file of that name that no other process has open."""
        folder.mkdir(parents=True, exist_ok=True)
        number = 0
        while True:
            path = folder / f"{name}.{number}.sqlite"
            try:
                return cls(path)
            except sqlite3.DatabaseError as error:
                if is_broken(error):
                    log.warning("dedup_file_broken", path=str(path), error=str(error))
                    _remove(path)
                    return cls(path)
                if _code(error) not in _BUSY:
                    raise
            number += 1

    def known(self, hashes: Sequence[bytes]) -> dict[bytes, list[First]]:
        """The first ones that are kept of these ids."""
        found = defaultdict(list, {key: list(self._unwritten[key]) for key in hashes if key in self._unwritten})
        for asked in (hashes[start : start + _MAX_ASKED] for start in range(0, len(hashes), _MAX_ASKED)):
            marks = ",".join(f"?{number + 1}" for number in range(len(asked)))
            rows = " UNION ALL ".join(f"SELECT * FROM firsts_{n} WHERE hash IN ({marks})" for n in (0, 1))  # noqa: S608
            for key, offset, at_ms in self._db.execute(rows, asked):
                found[key].append(First(offset, at_ms))
        return found

    def add(self, firsts: Iterable[Sighting], mark: Mark, expired_ms: int = 0) -> None:
        """Keeps first ones whose dispatch records are stored, all of them before `mark`.

        Args:
            firsts: may be known already.
            mark: how far the dispatches stream is applied with them.
            expired_ms: what was appended before may be forgotten.
        """
        for first in firsts:
            self._unwritten[first.hash].append(First(first.offset, first.at_ms))
            self._newest_ms = max(self._newest_ms, first.at_ms)
        self.mark = max(self.mark, mark)
        if self.mark.position - self._written >= MAX_UNWRITTEN:
            self._write(expired_ms)

    def reset(self, floor_ms: int) -> None:
        """Forgets everything, to be filled with what was appended since `floor_ms`."""
        self._unwritten.clear()
        self.mark, self.floor_ms = Mark(0, 0), floor_ms
        self._young, self._since_ms, self._newest_ms, self.count = 0, floor_ms, floor_ms, 0
        with self._transaction():
            for number in (0, 1):
                self._db.execute(f"DELETE FROM firsts_{number}")  # noqa: S608 - a number

    def close(self) -> None:
        """Lets the file go; what is not written is read again."""
        self._db.close()

    def discard(self) -> None:
        """Removes the file, which cannot be read."""
        self.close()
        _remove(self._path)

    def _write(self, expired_ms: int) -> None:
        # In the order of the table, so that each page is changed once.
        rows = sorted((key, *first) for key, firsts in self._unwritten.items() for first in firsts)
        with self._transaction():
            self.count += self._db.executemany(
                f"INSERT OR IGNORE INTO firsts_{self._young} VALUES (?, ?, ?)",  # noqa: S608 - a number
                rows,
            ).rowcount
            if expired_ms > self._since_ms:
                self._young = 1 - self._young
                self.count -= self._db.execute(f"DELETE FROM firsts_{self._young}").rowcount  # noqa: S608 - as above
                self.floor_ms = max(self.floor_ms, self._since_ms + 1)  # the old one had nothing newer
                self._since_ms = self._newest_ms
        self._unwritten.clear()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Changes that are stored together with how far the stream is applied, or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        yield
        state = (*self.mark, self.floor_ms, self._young, self._since_ms, self._newest_ms)
        self._db.execute("DELETE FROM state")
        self._db.execute("INSERT INTO state VALUES (?, ?, ?, ?, ?, ?)", state)
        self._db.execute("COMMIT")
        self._written = self.mark.position


def is_broken(error: sqlite3.Error) -> bool:
    """Whether a file cannot be read, so that it has to be made anew."""
    return _code(error) in _BROKEN


def _code(error: sqlite3.Error) -> int:
    # The last byte says what, the others where; an error of Python's own module has none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        for statement in (*_SETTINGS, "BEGIN IMMEDIATE", *_TABLES, "COMMIT"):
            connection.execute(statement)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _remove(path: Path) -> None:
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal")):
        file.unlink(missing_ok=True)
