"""A list that is read slice by slice is the list: whole, in order, from any cursor on."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from projections.query.cursor import Key
from projections.query.forms import Form, csv_of, form_of
from projections.query.listing import Start
from projections.query.slices import Slice, first_slice
from projections.query.span import Span

NOW_MS = 10_000_000_000
SINCE_MS = NOW_MS - 31 * 86_400_000
TIMES = st.integers(SINCE_MS - 10, NOW_MS + 10) | st.integers(NOW_MS - 50, NOW_MS)
KEYS = st.lists(st.tuples(TIMES, st.integers(0, 3)), unique=True, max_size=60)


def read(keys: list[tuple[int, int]], place: Slice, most: int) -> tuple[list[Key], bool]:
    """What ClickHouse gives for a slice, and whether there is more of it."""
    span = place.span
    inside = [key for key in keys if span.since_ms <= key[0] and (span.until_ms is None or key[0] < span.until_ms)]
    if place.key is not None:
        inside = [key for key in inside if (key < place.key if place.descending else key > place.key)]
    rows: list[Key] = sorted(inside, reverse=place.descending)
    return rows[:most], len(rows) > most


def walk(keys: list[tuple[int, int]], place: Slice, most: int) -> Iterator[Key]:
    for _ in range(10_000):
        rows, more = read(keys, place, most)
        yield from rows
        if not more and place.last:
            return
        place = place.after(rows[-1]) if more else place.beyond()
    raise AssertionError("it does not end")


@given(KEYS, st.booleans(), st.none() | TIMES, st.integers(1, 7), st.integers(0, 60))
def test_slices_are_the_whole_list_from_any_row_on(
    keys: list[tuple[int, int]], descending: bool, until_ms: int | None, most: int, skipped: int
) -> None:
    span = Span(SINCE_MS, None if until_ms is None else max(SINCE_MS, until_ms))
    wanted = [key for key in keys if key[0] >= SINCE_MS and (span.until_ms is None or key[0] < span.until_ms)]
    expected = sorted(wanted, reverse=descending)
    first = first_slice(Start("q", span), descending=descending, now_ms=NOW_MS)
    assert list(walk(keys, first, most)) == expected
    if skipped < len(expected):
        begin = first_slice(Start("q", span, expected[skipped]), descending=descending, now_ms=NOW_MS)
        assert list(walk(keys, begin, most)) == expected[skipped + 1 :]


def test_the_form_is_what_the_parameter_says_or_else_what_is_liked_best() -> None:
    cases: list[tuple[Form | None, str, Form]] = [
        (None, "", "json"),
        (None, "*/*", "json"),
        (None, "text/csv", "csv"),
        (None, "Text/CSV;q=0.5, application/x-ndjson", "ndjson"),
        (None, "text/csv;q=0.9,application/json;q=1.0", "json"),
        (None, "text/csv;q=x, application/json;q=0.1", "json"),
        ("csv", "application/json", "csv"),
    ]
    for asked, accept, expected in cases:
        assert form_of(asked, accept) == expected, accept


def test_what_stands_in_a_cell_is_one_cell() -> None:
    row = ['a"b', "x,y", "two\r\nlines", None, True, {"a": [1]}, 0]
    assert csv_of(iter([row])) == b'"a""b","x,y","two\r\nlines",,true,"{""a"":[1]}",0\r\n'
