"""How a question is read: times, patterns, cursors; and what the API says of itself."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send

from projections.query.cursor import Key, Position, decode_cursor, encode_cursor, question_id
from projections.query.errors import problem_of
from projections.query.filters import like_of
from projections.query.listing import ATTEMPTS, DELIVERIES, EVENTS, REJECTIONS, Listing
from projections.query.readers import SETTINGS
from projections.query.span import MAX_MS, span_of, time_ms
from projections.query.step import DAY_S, NAMED_S, step_of
from rules.match import matches_type
from runtime.clickhouse import CLICKHOUSE_ERRORS, Client, EmbeddedClickHouse
from runtime.http_metrics import HttpMetrics
from runtime.problem import ProblemError
from schemas.headers import MAX_INTEGER, rfc3339
from tests.clickhouse_fixture import engine
from tests.projections_fixture import Projections, projections

__all__ = ["engine", "projections"]

NOW_MS = 1_795_542_652_488
TIMES = st.integers(0, MAX_INTEGER)
ANY_KEY = st.lists(st.integers() | st.text(max_size=20), max_size=6).map(tuple)
LISTS = [EVENTS, REJECTIONS, DELIVERIES, ATTEMPTS]


@given(TIMES, st.integers(-12 * 60, 14 * 60))
def test_a_time_is_read_in_every_form(at_ms: int, offset_minutes: int) -> None:
    assert time_ms(str(at_ms), NOW_MS) == at_ms
    if at_ms < MAX_INTEGER - 86_400_000 and at_ms > 86_400_000:
        assert time_ms(rfc3339(at_ms), NOW_MS) == at_ms
        zone = timezone(timedelta(minutes=offset_minutes))
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
        assert time_ms(moment.astimezone(zone).isoformat(), NOW_MS) == at_ms


@pytest.mark.parametrize(
    ("text", "ago_ms"), [("-15m", 900_000), ("-24h", 86_400_000), ("-7d", 604_800_000), ("-3s", 3_000)]
)
def test_a_duration_is_counted_back_from_now(text: str, ago_ms: int) -> None:
    assert time_ms(text, NOW_MS) == NOW_MS - ago_ms


@given(st.text(max_size=30))
def test_what_is_no_time_is_refused_and_nothing_worse(text: str) -> None:
    try:
        since_ms = time_ms(text, NOW_MS)
    except ValueError:
        since_ms = -1
    if since_ms >= NOW_MS - MAX_MS:
        assert span_of(text, None, NOW_MS).since_ms == since_ms
        return
    with pytest.raises(ProblemError) as refused:
        span_of(text, None, NOW_MS)
    assert refused.value.status == 422
    assert refused.value.members["errors"][0]["field"] == "query.since"


@given(st.integers(0, MAX_MS), st.sampled_from([*NAMED_S, "1", "900", "5400", "7200", "86400"]))
def test_a_step_that_a_span_touches_is_whole(width_ms: int, name: str) -> None:
    step = step_of(name)
    length_ms = step.length_s * 1000
    span = step.whole(span_of(str(NOW_MS - width_ms), str(NOW_MS), NOW_MS))
    assert span.until_ms is not None
    monday_ms = 4 * DAY_S * 1000 if name == "week" else 0
    assert (span.since_ms - monday_ms) % length_ms == (span.until_ms - monday_ms) % length_ms == 0
    assert NOW_MS - width_ms - length_ms < span.since_ms <= NOW_MS - width_ms
    assert NOW_MS <= span.until_ms < NOW_MS + length_ms


@given(st.text() | st.integers(-10, 10**7).map(str))
def test_a_step_is_a_name_or_divides_a_day(text: str) -> None:
    try:
        length_s = step_of(text).length_s
    except ValueError:
        assert text not in {*NAMED_S, "1", "60", "900", "86400"}
    else:
        assert DAY_S % length_s == 0 or text == "week"


@given(st.sampled_from(LISTS), ANY_KEY, TIMES, TIMES | st.none())
def test_a_cursor_comes_back_as_it_was_or_is_refused(
    listing: Listing, key: Key, since_ms: int, until_ms: int | None
) -> None:
    question = question_id(listing.table, "")
    position = Position(question, since_ms, until_ms, key)
    fits = len(key) == len(listing.key) and all(
        column.holds(value) for column, value in zip(listing.key, key, strict=True)
    )
    try:
        text = encode_cursor(position)
    except OverflowError:  # msgspec's integers have 64 bits
        assert not fits
        return
    if fits:
        assert decode_cursor(text, question, listing.key) == position
        return
    with pytest.raises(ProblemError) as refused:
        decode_cursor(text, question, listing.key)
    assert refused.value.status == 400


@given(st.text(max_size=200) | st.binary(max_size=60).map(lambda raw: encode_cursor(Position(raw.hex(), 0, None, ()))))
def test_what_is_no_cursor_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        decode_cursor(text, "q", EVENTS.key)
    assert refused.value.status == 400


@pytest.fixture(scope="module")
def reader(engine: EmbeddedClickHouse) -> Iterator[Client]:
    client = engine.open_reader(SETTINGS)
    yield client
    client.close()


@pytest.mark.stack
def test_a_pattern_means_in_clickhouse_what_it_means_to_a_subscription(reader: Client) -> None:
    parts = ["", "*", "a", "%", "_", "\\", "\\\\", "*.", "\n", "é", "'", "a*b"]
    texts = ["", "a", "%", "_", "\\", "\\\\", ".", "x\ny", "é", "a.b", "ab", "'", "a\\b", "\\%", "*", "axxb"]
    pairs = [(first + last, text) for first in parts for last in parts for text in texts if "*" in first + last]
    found = reader.query(
        "SELECT arrayMap((t, p) -> t LIKE p, {texts:Array(String)}, {patterns:Array(String)})",
        parameters={"texts": [text for _, text in pairs], "patterns": [like_of(pattern) for pattern, _ in pairs]},
    ).result_rows[0][0]
    assert [bool(value) for value in found] == [matches_type([pattern], text) for pattern, text in pairs]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("limits", "query", "status"),
    [
        ({"max_execution_time": 1}, "SELECT sum(sipHash64(number)) FROM numbers(100000000000)", 504),
        ({"max_memory_usage": 1_000_000}, "SELECT uniqExact(number) FROM numbers(10000000)", 503),
        ({}, "SELECT number FROM numbers(1000000)", 413),
        ({}, "SELECT nothing", 500),
    ],
)
def test_a_limit_of_clickhouse_is_a_status(
    engine: EmbeddedClickHouse, limits: dict[str, int], query: str, status: int
) -> None:
    client = engine.open_reader(SETTINGS | limits)
    try:
        with pytest.raises(CLICKHOUSE_ERRORS) as refused:
            client.query(query)
    finally:
        client.close()
    assert problem_of(refused.value, (500, "internal_error")).status == status


@pytest.mark.stack
def test_the_api_describes_itself_and_counts_its_requests(projections: Projections) -> None:
    projections.until_ready()
    status, body = projections.get("/openapi.json", key="")
    document = json.loads(body)
    assert (status, projections.get("/docs", key="")[0]) == (200, 200)
    operations = {path: next(iter(item.values())) for path, item in document["paths"].items()}
    assert {path for path in operations if "stats" in path or path.endswith(("logs/events", "retry", "{task_id}"))} == {
        "/api/v1/logs/events",
        "/api/v1/stats/attempts",
        "/api/v1/stats/subscriptions",
        "/api/v1/stats/topics",
        "/api/v1/stats/overview",
        "/api/v1/stats/errors",
        "/api/v1/stats/funnel",
        "/api/v1/stats/schema-drift",
        "/api/tasks/{task_id}",
        "/api/v1/deliveries/{delivery_id}/retry",
    }
    names = {parameter["name"] for parameter in operations["/api/v1/logs/deliveries"]["parameters"]}
    assert names >= {"since", "until", "limit", "cursor", "order", "status", "subscription_id", "replay_id"}
    for path, operation in operations.items():
        assert operation["summary"], path
        assert {"401", "422", "503", "504"} <= set(operation["responses"]), path
    posted = ("retry", "sql", "cancel", "try")
    for path in operations:
        assert projections.get(path, {} if path.endswith(posted) else None, key="")[0] == 401, path

    for path in ("/api/v1/logs/events/a", "/api/v1/logs/events/b", "/nowhere/at/all", "/api/v1/logs/events?limit=x"):
        projections.get(path)
    metrics = projections.get("/metrics", key="")[1].decode()
    for labels, count in (
        ('{method="GET",route="/api/v1/logs/events/{event_id}",status="404"}', 2),
        ('{method="GET",route="/api/v1/logs/events",status="422"}', 1),
        ('{method="GET",route="other",status="404"}', 1),
    ):
        assert f"hooklog_http_requests_total{labels} {count:.1f}" in metrics
    assert 'hooklog_http_request_seconds_count{route="/ready"}' in metrics


async def test_a_request_that_fails_without_an_answer_is_counted_as_such() -> None:
    async def failing(scope: Scope, _: Receive, __: Send) -> None:
        raise RuntimeError(scope["path"])

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def unsent(message: Message) -> None:
        raise AssertionError(message)

    registry = CollectorRegistry()
    scope = {"type": "http", "method": "BREW", "path": "/x", "route_template": "/{any}"}
    with pytest.raises(RuntimeError):
        await HttpMetrics(failing, registry)(scope, nothing, unsent)
    labels = {"route": "/{any}", "method": "other", "status": "0"}
    assert registry.get_sample_value("hooklog_http_requests_total", labels) == 1
