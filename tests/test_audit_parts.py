"""What an audit is made of: gaps, days, findings; and what it says when the tables do not keep up."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.doctor.audit import finding_of
from cli.doctor.finding import State
from projections.audit.coverage import Extent, gaps_between
from projections.audit.log_cut import BehindError, log_cut
from projections.audit.offender import KINDS, Findings, of_record
from projections.audit.window import DAY_MS, Window
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import Projections, Stages, make_event

PLACE = ("events", 3)


@given(st.integers(0, 50), st.integers(0, 50), st.sets(st.integers(0, 99)))
def test_gaps_and_rows_together_are_every_offset_once(begin: int, size: int, offsets: set[int]) -> None:
    extent = Extent(begin, begin + size)
    there = sorted(offset for offset in offsets if extent.begin <= offset < extent.end)
    gaps = gaps_between(PLACE, extent, there)
    missing = [offset for gap in gaps for offset in range(gap.first, gap.last + 1)]
    assert sorted([*missing, *there]) == list(range(extent.begin, extent.end))
    assert len(missing) == sum(gap.records for gap in gaps)
    assert all(after.first > before.last + 1 for before, after in pairwise(gaps))


@given(st.integers(0, 10 * DAY_MS), st.integers(0, 5 * DAY_MS))
def test_the_days_of_a_window_are_the_whole_of_it(since: int, length: int) -> None:
    days = list(Window(since, since + length).days())
    assert sum(day.until_ms - day.since_ms for day in days) == length
    assert all(day.since_ms // DAY_MS == (day.until_ms - 1) // DAY_MS for day in days)
    assert all(before.until_ms == after.since_ms for before, after in pairwise(days))


def test_an_offender_counts_once_however_it_was_found_and_only_the_first_are_named() -> None:
    findings = Findings(2)
    for number in (1, 2, 3, 1):
        findings.add([of_record("undispatched", f"event-{number}", "at 0/1")])
    findings.add_uncounted("undispatched", 10)
    findings.add_uncounted("overdue", 0)
    assert [offender.id for offender in findings.kept] == ["event-1", "event-2"]
    assert findings.counts == {"undispatched": 13}
    assert "event-1" in findings.kept[0].do
    assert set(findings.counts) <= set(KINDS)


def test_the_doctor_tells_what_the_last_audit_found_and_when_there_was_none_for_long() -> None:
    clean = "hooklog_audit_ok 1.0\nhooklog_audit_age_seconds 9.5\n" + "".join(
        f'hooklog_audit_offenders{{kind="{kind}"}} 0.0\n' for kind in KINDS
    )
    wrong = clean.replace("ok 1.0", "ok 0.0").replace('"overdue"} 0.0', '"overdue"} 3.0')
    found = [finding_of(text, 300) for text in (clean, wrong, clean.replace("9.5", "1300"))]
    assert [item.state for item in found if item] == [State.OK, State.FAIL, State.WARN]
    assert found[1] is not None
    assert "3 overdue" in found[1].found
    first = finding_of(clean.replace("ok 1.0", "ok NaN"), 300)
    assert first is not None
    assert "not ended yet" in first.found
    assert finding_of(clean, 0) is None
    assert finding_of("", 300) is None


@pytest.mark.stack
async def test_tables_that_do_not_come_as_far_as_the_cut_are_named_with_how_much_is_left(
    kafka: RunningKafka, tmp_path: Path
) -> None:
    settings = Projections(kafka, tmp_path).settings  # which is never started
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)

    async with Stages(settings) as stages:
        for _ in range(3):
            await stages.event(make_event())
        async with log_cut(settings) as cut:
            extents = await cut.extents()
            with pytest.raises(BehindError, match=r"3 records to store .* events\[\d\]"):
                await cut.passed(extents, 0.5, tell)
            await cut.passed({place: Extent(extent.end, extent.end) for place, extent in extents.items()}, 0.5, tell)
    assert told
    assert all("3 records" in text for text in told)
