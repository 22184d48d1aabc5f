"""The first ones on disk: what a restart, a broken file, another process and time do to them."""

import os
import sqlite3
from pathlib import Path

import pytest

from processors.dispatch.firsts import MAX_UNWRITTEN, Firsts, Mark
from rules.dedup import First, Sighting

HOUR_MS = 3_600_000


def sightings(start: int, count: int, hours: int = 0) -> list[Sighting]:
    return [Sighting(number.to_bytes(16), number, hours * HOUR_MS) for number in range(start, start + count)]


def keys(*numbers: int) -> list[bytes]:
    return [number.to_bytes(16) for number in numbers]


def fill(firsts: Firsts, start: int, count: int, hours: int = 0, expired_hours: int = 0) -> None:
    mark = Mark(start + count, hours * HOUR_MS)
    firsts.add(sightings(start, count, hours), mark, expired_hours * HOUR_MS)


@pytest.fixture
def firsts(tmp_path: Path) -> Firsts:
    opened = Firsts.of(tmp_path, "p")
    opened.reset(0)
    return opened


def test_a_new_file_is_complete_for_no_time_at_all(tmp_path: Path) -> None:
    assert Firsts.of(tmp_path, "p").floor_ms > 1 << 60


def test_what_was_added_is_known_before_it_is_written(firsts: Firsts) -> None:
    fill(firsts, 0, 2)
    assert firsts.known(keys(0, 1, 2)) == {keys(0)[0]: [First(0, 0)], keys(1)[0]: [First(1, 0)]}


def test_any_number_of_ids_can_be_asked_for(firsts: Firsts) -> None:
    fill(firsts, 0, 3_000)
    assert len(firsts.known(keys(*range(4_000)))) == 3_000


def test_after_a_restart_all_below_the_mark_is_known(tmp_path: Path, firsts: Firsts) -> None:
    fill(firsts, 0, MAX_UNWRITTEN)
    fill(firsts, MAX_UNWRITTEN, 10)
    firsts.close()
    again = Firsts.of(tmp_path, "p")
    assert (again.mark, again.floor_ms, again.count) == (Mark(MAX_UNWRITTEN, 0), 0, MAX_UNWRITTEN)
    assert len(again.known(keys(*range(again.mark.position)))) == MAX_UNWRITTEN


def test_the_same_first_one_twice_is_kept_once(firsts: Firsts) -> None:
    fill(firsts, 0, MAX_UNWRITTEN)
    firsts.add(sightings(0, MAX_UNWRITTEN), Mark(3 * MAX_UNWRITTEN, 0))
    assert firsts.known(keys(5)) == {keys(5)[0]: [First(5, 0)]}
    assert firsts.count == MAX_UNWRITTEN


def test_what_has_expired_goes_and_the_rest_stays(tmp_path: Path, firsts: Firsts) -> None:
    for day in range(6):
        fill(firsts, day * MAX_UNWRITTEN, MAX_UNWRITTEN, hours=24 * day, expired_hours=24 * (day - 1))
        assert firsts.floor_ms <= max(0, 24 * (day - 1) * HOUR_MS + 1)
        complete = [n for n in range(day + 1) if 24 * n * HOUR_MS >= firsts.floor_ms]
        assert all(firsts.known(keys(n * MAX_UNWRITTEN)) for n in complete)
    assert firsts.count <= 3 * MAX_UNWRITTEN
    kept = firsts.count
    firsts.close()
    assert Firsts.of(tmp_path, "p").count == kept


def test_a_file_that_another_has_open_is_left_to_it(tmp_path: Path, firsts: Firsts) -> None:
    fill(firsts, 0, MAX_UNWRITTEN)
    other = Firsts.of(tmp_path, "p")
    assert other.count == 0
    other.reset(0)
    fill(other, 0, 1)
    other.close()
    firsts.close()
    assert Firsts.of(tmp_path, "p").count == MAX_UNWRITTEN


@pytest.mark.parametrize("damage", ["no database", "torn pages", "empty"])
def test_a_broken_file_is_made_anew(tmp_path: Path, firsts: Firsts, damage: str) -> None:
    fill(firsts, 0, 20 * MAX_UNWRITTEN)
    firsts.close()
    (path,) = tmp_path.glob("*.sqlite")
    whole = path.read_bytes()
    path.write_bytes(
        {"no database": b"x" * 10_000, "torn pages": whole[:4096] + os.urandom(len(whole) - 4096), "empty": b""}[damage]
    )
    again = Firsts.of(tmp_path, "p")
    assert (again.count, again.mark) == (0, Mark(0, 0))
    again.reset(0)
    fill(again, 0, MAX_UNWRITTEN)
    assert again.count == MAX_UNWRITTEN


def test_a_full_disk_is_an_error_and_loses_nothing_that_was_written(tmp_path: Path, firsts: Firsts) -> None:
    fill(firsts, 0, MAX_UNWRITTEN)
    pages = firsts._db.execute("PRAGMA page_count").fetchone()[0]
    firsts._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill(firsts, MAX_UNWRITTEN, 100 * MAX_UNWRITTEN)
    firsts.close()
    again = Firsts.of(tmp_path, "p")
    assert (again.count, again.mark) == (MAX_UNWRITTEN, Mark(MAX_UNWRITTEN, 0))
