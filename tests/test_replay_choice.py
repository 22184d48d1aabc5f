"""Which events a replay chooses, where they are kept, and how few it looks at: over the real tables."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.query import replay_where
from projections.query.kept_log import KEPT_MS, KeptLog
from projections.query.replay_choice import Choice, Facts, _count, _facts
from projections.query.replay_request import ReplayRequest
from projections.query.replay_selection import CHOICE_SETTINGS, Selected, read_selected, selection_of
from projections.query.replay_where import judge_where
from projections.query.resend import REFERRED_MS
from projections.writer.rows import Row, delivery_rows, dispatch_rows, event_rows
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.kafka import NotStoredError
from runtime.log_range import LogRange
from runtime.problem import ProblemError
from schemas.delivery import encode_delivery
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.event import encode_event
from schemas.ids import derived_id
from schemas.streams import EVENTS, StreamNames
from tests.clickhouse_fixture import engine, writer
from tests.projections_fixture import make_delivery, make_event
from tests.test_try import NOW_MS, Stored

__all__ = ["engine", "writer"]

DAY_MS = 86_400_000
EVERYTHING: dict[str, Any] = {"to": "new", "mode": "all", "since": str(NOW_MS - 60 * DAY_MS)}


@pytest.fixture
def reader(engine: EmbeddedClickHouse, writer: Client) -> Iterator[Client]:
    """Reads tables with forty events, an hour to forty days old, in two partitions."""
    writer.command("ALTER TABLE dispatches DROP PARTITION ALL")
    rows: list[Row] = []
    for number in range(40):
        received_ms = NOW_MS - number * DAY_MS - 3_600_000
        event = make(number, received_ms)
        dispatch = Dispatch(
            event_id=event.event_id,
            topic_id=event.topic_id,
            source_id=event.source_id,
            event_type=event.event_type,
            received_ms=received_ms,
            dispatched_ms=received_ms,
            event_partition=number % 2,
            event_offset=1_000 - number,
            config_version=1,
        )
        place = {"offset": 1_000 - number, "partition": number % 2}
        rows += event_rows(Stored(value=event.body, headers=encode_event(event), **place))
        rows += dispatch_rows(Stored(value=encode_dispatch(dispatch), **place))
    for table in ("events", "dispatches"):
        block = b"\n".join(row.json for row in rows if row.table == table)
        writer.raw_insert(table, insert_block=block, fmt="JSONEachRow")
    client = engine.open_reader(CHOICE_SETTINGS)
    yield client
    client.close()


def make(number: int, received_ms: int) -> Any:
    """An event of a number, every fourth of them large."""
    body = b'{"n": %d, "padding": "%b"}' % (number, b"x" * (70_000 if number % 4 == 0 else 3))
    return make_event(event_id=derived_id(received_ms, str(number)), received_ms=received_ms, body=body)


def selection(**fields: Any) -> tuple[Any, Any]:
    request = ReplayRequest(**EVERYTHING | fields)
    span = request.span(NOW_MS)
    return selection_of(request, span), span


LOGS = [
    KeptLog([(0, 2_000), (0, 2_000)], NOW_MS),
    KeptLog([(980, 2_000), (0, 2_000)], NOW_MS),
    KeptLog([(0, 990), (990, 995)], NOW_MS),
    KeptLog([(0, 2_000)], NOW_MS + 5 * DAY_MS),
    KeptLog([], NOW_MS),
]


@pytest.mark.parametrize("log", LOGS)
def test_the_database_and_the_rule_agree_on_what_is_kept_and_count_the_same(log: KeptLog, reader: Client) -> None:
    chosen, span = selection()
    facts = _facts(reader, chosen, log)
    where = judge_where(reader, chosen, span, "true")
    again = Choice(chosen, log, where, Facts())
    seen: set[str] = set()
    for one in read_selected(reader, chosen, None):
        _count(again, one, seen)
    again.facts.events = len(seen)
    assert again.facts.shown() == facts.shown()
    assert (facts.total, facts.events, facts.subscriptions) == (40, 40, {"new": 40})
    assert (facts.first_ms, facts.last_ms) == (NOW_MS - 39 * DAY_MS - 3_600_000, NOW_MS - 3_600_000)
    if not log.ranges:
        assert facts.copied == 40


@given(
    st.integers(-1, 2), st.integers(0, 30), st.integers(0, 40 * DAY_MS), st.sampled_from([0, 65_536, 65_537, 1_000_000])
)
def test_what_is_said_to_be_kept_is_in_the_log_and_young_enough(part: int, offset: int, age_ms: int, size: int) -> None:
    log = KeptLog([(10, 20), (0, 0)], NOW_MS)
    kept = log.has(Selected(max(part, 0), offset, "e", "s", 1, NOW_MS - age_ms, size))
    young = age_ms <= (REFERRED_MS if size > 65_536 else KEPT_MS)
    assert kept == (max(part, 0) == 0 and 10 <= offset < 20 and young)


def test_where_holds_for_what_a_filter_would_hold_for_and_says_what_it_cannot_judge(
    reader: Client, writer: Client
) -> None:
    chosen, span = selection()
    where = judge_where(reader, chosen, span, "event.n < 10 || event.m == 1")
    assert (len(where.held), where.looked_at, where.failed, where.lost) == (10, 40, 30, set())
    assert where.example.endswith('Key not found in map : "m"')
    writer.command("ALTER TABLE events UPDATE payload = '' WHERE payload_bytes > 60000 SETTINGS mutations_sync = 1")
    where = judge_where(reader, chosen, span, "event.n < 10")
    assert (len(where.held), len(where.lost), where.looked_at) == (7, 10, 40)
    rows = read_selected(reader, chosen, None)
    choice = Choice(chosen, LOGS[0], where, Facts())
    reasons = [choice.reason(one) for one in rows]
    assert [reasons.count(reason) for reason in ("", "payload_expired", None)] == [7, 10, 23]


def test_a_where_over_too_much_is_refused_with_what_narrows_it(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, span = selection()
    for limit, value in (("MAX_EVENTS", 39), ("MAX_BYTES", 100_000)):
        with monkeypatch.context() as patched:
            patched.setattr(replay_where, limit, value)
            with pytest.raises(ProblemError) as raised:
                judge_where(reader, chosen, span, "true")
            assert raised.value.status == 422
            assert raised.value.members["errors"][0]["field"] == "body.where"
            assert "narrow it by since and until" in raised.value.detail
    monkeypatch.setattr(replay_where, "MAX_S", 0.0)
    with pytest.raises(ProblemError) as raised:
        judge_where(reader, chosen, span, "true")
    assert (raised.value.status, raised.value.code) == (504, "query_timeout")


@pytest.mark.parametrize("log", LOGS)
def test_deliveries_whose_events_the_tables_lack_are_counted_and_named(
    log: KeptLog, reader: Client, writer: Client
) -> None:
    known = read_selected(reader, selection()[0], None)[0].event_id
    rows: list[Row] = []
    for number, event_id in enumerate([known, derived_id(NOW_MS - DAY_MS, "lost"), derived_id(NOW_MS - DAY_MS, "too")]):
        delivery = make_delivery(make_event(event_id=event_id, received_ms=NOW_MS - DAY_MS))
        rows += delivery_rows(Stored(number, delivery.body, encode_delivery(delivery)))
    block = b"\n".join(row.json for row in rows)
    writer.raw_insert("deliveries", insert_block=block, fmt="JSONEachRow")
    chosen, span = selection(to=None, subscription_id="billing")
    facts = _facts(reader, chosen, log)
    assert (facts.total, facts.events, facts.subscriptions) == (3, 3, {"billing": 3})
    assert facts.unavailable == {"event_unknown": 2}
    assert known not in facts.named
    assert len(facts.named) == 2
    where = judge_where(reader, chosen, span, "event.n < 1000")
    assert (where.looked_at, where.held) == (1, {known})
    choice = Choice(chosen, log, where, Facts())
    reasons = [choice.reason(one) for one in read_selected(reader, chosen, None)]
    assert sorted(map(str, reasons)) == ["", "event_unknown", "event_unknown"]  # never passed over


async def test_without_a_broker_nobody_knows_what_kafka_keeps() -> None:
    with pytest.raises(NotStoredError):
        await LogRange("127.0.0.1:9", StreamNames("x."), 2).of(EVENTS)
