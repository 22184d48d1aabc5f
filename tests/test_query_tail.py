"""Watchers see each row once, and go on from any of them; they end with the service, and are not too many."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import httpx
import pytest

from projections.query.tail import MAX_WATCHERS
from projections.query.tail_place import decode_place, encode_place
from schemas.attempt import AttemptKind, AttemptStatus
from schemas.operation import encode_operation
from schemas.rejection import encode_rejection
from schemas.streams import OPERATIONS, REJECTIONS
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import ADMIN_KEY, Projections, Stages, make_attempt, make_delivery, make_event, until
from tests.query_books import write_books

pytestmark = pytest.mark.stack

ALL = ["events", "deliveries", "attempts", "rejections", "operations"]


class Told(NamedTuple):
    """One event of the stream."""

    id: str
    event: str
    data: dict[str, Any]


@pytest.fixture(scope="module")
def projections(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projections]:
    service = Projections(session_kafka, tmp_path_factory.mktemp("projections"))
    service.start()
    service.until_ready()
    yield service
    if service.process.poll() is None:
        assert service.stop() == 0


@contextmanager
def watching(projections: Projections, last_id: str = "", **question: Any) -> Iterator[Iterator[Told]]:
    """What a watcher is told from when this returns on; its first is the place where it begins."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"} | ({"Last-Event-ID": last_id} if last_id else {})
    url = f"http://127.0.0.1:{projections.settings.query_port}/api/v1/logs/tail"
    with httpx.stream("GET", url, params=question, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _told(answer.iter_lines())


def _told(lines: Iterator[str]) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        yield Told(fields.get("id", ""), fields.get("event", ""), json.loads(fields.get("data", "{}")))
        fields = {}


def rows(told: Iterator[Told], count: int) -> list[Told]:
    return list(islice((item for item in told if item.event), count))


async def write(projections: Projections) -> int:
    """Some of everything; gives how many rows watchers of everything see."""
    books = write_books(seed=3, count=20)
    async with Stages(projections.settings) as stages:
        for event in books.events:
            await stages.event(event)
        for delivery in books.deliveries:
            await stages.delivery(delivery)
        await stages.attempts(books.attempts)
        for rejection in books.rejections:
            await stages.raw(REJECTIONS, encode_rejection(rejection))
        for operation in books.operations:
            await stages.raw(OPERATIONS, encode_operation(operation))
        await stages.raw(OPERATIONS, b"no operation")
    told_once = len(books.events) + len(books.deliveries) + len(books.rejections) + len(books.operations)
    return told_once + 2 * len(books.attempts)


async def test_a_watcher_goes_on_from_any_row_without_loss_or_repetition(projections: Projections) -> None:
    with watching(projections, kinds=ALL) as told:
        begin = next(told)
        count = await write(projections)
        whole = rows(told, count)
    assert {item.event for item in whole} == set(ALL)
    everything = sorted(json.dumps([item.event, item.data]) for item in whole)
    assert len(set(everything)) == count
    for seen in (0, 1, count // 3, count // 2, count // 2 + 1, count - 1):
        with watching(projections, whole[seen - 1].id if seen else begin.id, kinds=ALL) as told:
            rest = rows(told, count - seen)
        assert sorted(json.dumps([item.event, item.data]) for item in [*whole[:seen], *rest]) == everything
    with watching(projections, whole[-1].id, kinds=ALL, max_s=1) as told:
        assert [item.event for item in told if item.event] == ["end"]


async def test_a_record_that_was_told_in_part_is_told_to_its_end(projections: Projections) -> None:
    deliveries = [make_delivery(make_event()) for _ in range(12)]
    with watching(projections, kinds=["deliveries", "attempts"]) as told:
        next(told)
        async with Stages(projections.settings) as stages:
            await stages.attempts(make_attempt(item, 1, AttemptStatus.SUCCESS) for item in deliveries)
        whole = rows(told, 24)
    assert [item.event for item in whole] == ["attempts", "deliveries"] * 12
    for seen in (1, 12, 13, 23):
        with watching(projections, whole[seen - 1].id, kinds=["deliveries", "attempts"]) as told:
            rest = rows(told, 24 - seen)
        keys = [(item.event, item.data["delivery_id"]) for item in [*whole[:seen], *rest]]
        assert len(set(keys)) == len(keys) == 24


async def test_a_watcher_sees_only_what_it_asked_for_as_the_lists_show_it(projections: Projections) -> None:
    event = make_event(event_type="order.paid", body=b"\xff\x00 no text")
    delivery = make_delivery(event, "audit")
    asked: dict[str, Any] = {"kinds": ["events", "attempts"], "event_type": "order.p*", "topic_id": event.topic_id}
    with watching(projections, **asked) as told, watching(projections, kinds=["attempts"], status="FAILED") as failed:
        next(told), next(failed)
        async with Stages(projections.settings) as stages:
            await stages.event(make_event(event_type="order.created"))
            await stages.event(event)
            await stages.attempts(
                [
                    make_attempt(delivery, 1, AttemptStatus.RETRYING, kind=AttemptKind.LEASE),
                    make_attempt(delivery, 1, AttemptStatus.RETRYING, next_attempt_ms=event.received_ms + 5_000),
                    make_attempt(delivery, 2, AttemptStatus.FAILED, response_status_code=500, reason="http_500"),
                ]
            )
        found = rows(told, 3)
        (last,) = rows(failed, 1)
    assert sorted(item.event for item in found) == ["attempts", "attempts", "events"]
    path = f"/api/v1/logs/attempts?event_id={event.event_id}"
    listed = until(lambda: both if len(both := json.loads(projections.get(path)[1])["data"]) == 2 else None, "both")
    assert last.data == next(row for row in listed if row["attempt"] == 2)
    accepted = next(item.data for item in found if item.event == "events")
    shown = json.loads(projections.get("/api/v1/logs/events?event_type=order.paid")[1])["data"][0]
    assert accepted == {name: shown[name] for name in accepted}
    assert "payload" not in accepted


def test_an_id_that_nothing_can_go_on_from_is_refused_and_what_expired_is_told(projections: Projections) -> None:
    with watching(projections, kinds=["events"], max_s=1) as told:
        begin = next(told)
    for wrong, kinds in (("x", "events"), ("%", "events"), (begin.id, "attempts"), ("A" * 400, "events")):
        status, body = projections.get(f"/api/v1/logs/tail?kinds={kinds}", headers={"Last-Event-ID": wrong})
        assert (status, json.loads(body)["code"]) == (400, "last_event_id")
    place = decode_place(begin.id, ["events"])
    place.offsets["events"][0] += 1_000
    with watching(projections, encode_place(place), kinds=["events"], max_s=1) as told:
        gap = rows(told, 1)[0]
    assert (gap.event, gap.data["stream"], gap.data["partition"]) == ("gap", "events", 0)
    status, body = projections.get("/api/v1/logs/tail?kinds=nothing&max_s=0&x=1")
    assert status == 422
    assert {error["field"] for error in json.loads(body)["errors"]} == {"query.kinds.0", "query.max_s", "query.x"}


def test_watchers_are_not_too_many_and_end_with_the_service(projections: Projections) -> None:
    """The last test of the file: the service is stopped."""
    open_now = [watching(projections, kinds=["operations"]) for _ in range(MAX_WATCHERS)]
    streams = [one.__enter__() for one in open_now]
    for told in streams:
        next(told)
    status, body = projections.get("/api/v1/logs/tail")
    assert (status, json.loads(body)["code"]) == (503, "too_many_streams")
    assert projections.stop() == 0
    for told, one in zip(streams, open_now, strict=True):
        assert [item.event for item in told if item.event][-1:] == ["end"]
        one.__exit__(None, None, None)
