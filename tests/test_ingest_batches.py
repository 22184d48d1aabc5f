"""Batches for real: each item is an event of its own, and the answer promises no more than Kafka has."""

import hmac
import os
import signal
import time
from typing import Any

import httpx
import orjson
import pytest

from rules.batch import MAX_ITEMS
from schemas.event import Event, decode_event
from schemas.rejection import Rejection, decode_rejection
from schemas.streams import EVENTS, REJECTIONS
from tests.ingest_fixture import Gateway, gateway, wait_until

__all__ = ["gateway"]

SECRET = "It's a Secret to Everybody"
NDJSON = "application/x-ndjson"
CLOUD_BATCH = "application/cloudevents-batch+json"
CLOUD_EVENT = {"specversion": "1.0", "source": "/shop", "type": "order.created", "data": {"type": "inner"}}


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as admin:
        for source in (
            {"id": "open", "auth_type": "none"},
            {"id": "small", "auth_type": "none", "max_body_bytes": 100},
            {"id": "github", "auth_type": "github", "secret": SECRET},
        ):
            assert admin.post("/api/v1/sources", json=source).status_code == 201
            assert admin.post("/api/v1/topics", json={"id": source["id"], "source_id": source["id"]}).is_success
        orders = {
            "id": "orders",
            "source_id": "open",
            "ordering_key": {"pointer": "/order"},
            "dedup_id": {"pointer": "/id"},
        }
        assert admin.post("/api/v1/topics", json=orders).status_code == 201
        for topic in ("keyed", "keyed-2", "cloud", "batch"):
            assert admin.post("/api/v1/topics", json={"id": topic, "source_id": "open"}).status_code == 201


def post(gateway: Gateway, topic: str, body: bytes, content_type: str = "application/json", **more: Any) -> Any:
    headers = {"content-type": content_type} | {name.replace("_", "-"): value for name, value in more.items()}
    response = httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", content=body, headers=headers, timeout=60)
    gateway.contract.check(response)
    return response


def stored(gateway: Gateway, response: httpx.Response) -> list[Event]:
    """The events that an answer names, read from Kafka."""
    records = {dict(record.headers)["ce_id"].decode(): record for record in gateway.records(EVENTS)}
    found = [records[item["event_id"]] for item in response.json()["items"] if item["status"] == "QUEUED"]
    return [decode_event(record.value, record.headers) for record in found]


def rejections(gateway: Gateway, code: str, topic: str, count: int = 1) -> list[Rejection]:
    found: list[Rejection] = []

    def are_there() -> bool:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        found[:] = [one for one in every if (one.code, one.topic_id) == (code, topic)]
        return len(found) >= count

    wait_until(are_there)
    return found


def test_each_item_of_an_array_is_an_event_byte_for_byte(gateway: Gateway) -> None:
    items = [
        b'{ "type" : "order.created" }',
        b'{"type":"a","n":1.0e2}',
        b'"text"',
        '{"ü":"\\u00fc"}'.encode(),
        b"[1, 2]",
    ]
    response = post(gateway, "open/batch", b" [" + b" ,\r\n\t".join(items) + b"] ", user_agent="Sender/1")
    assert response.status_code == 202
    answered = response.json()["items"]
    assert [item["index"] for item in answered] == [0, 1, 2, 3, 4]
    assert {(item["status"], item["code"]) for item in answered} == {("QUEUED", None)}
    events = stored(gateway, response)
    assert [event.body for event in events] == items
    assert [event.event_type for event in events] == ["order.created", "a", "unknown", "unknown", "unknown"]
    assert {event.content_type for event in events} == {"application/json"}
    assert {dict(event.request_headers)["user-agent"] for event in events} == {"Sender/1"}
    assert len({event.traceparent for event in events}) == 1


def test_each_line_of_ndjson_is_an_event_and_a_broken_line_is_told_and_recorded(gateway: Gateway) -> None:
    response = post(gateway, "open/batch", b'{"type":"a"}\r\n\n{"type":\n{"type":"b"}\n', NDJSON)
    assert (response.status_code, response.json()["code"]) == (400, "items_refused")
    assert [item["status"] for item in response.json()["items"]] == ["QUEUED", "REFUSED", "QUEUED"]
    assert response.json()["items"][1]["code"] == "malformed"
    assert [event.body for event in stored(gateway, response)] == [b'{"type":"a"}', b'{"type":"b"}']
    found = rejections(gateway, "malformed", "open")[-1]
    assert (found.status, found.body, found.body_bytes) == (400, '{"type":', 8)
    assert found.reason.startswith("item 1: ")


def test_a_batch_that_is_signed_is_taken_and_with_one_other_byte_it_is_refused(gateway: Gateway) -> None:
    body = b'[{"a":1},{"a":2}]'
    signature = "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()
    headers = {"x_hub_signature_256": signature, "x_github_event": "push", "x_github_delivery": "d1"}
    response = post(gateway, "github/batch", body, **headers)
    assert response.status_code == 202
    events = stored(gateway, response)
    assert [event.event_type for event in events] == ["push", "push"]
    assert len({event.dedup_id for event in events}) == 2
    forged = post(gateway, "github/batch", body.replace(b"1", b"3"), **headers)
    assert (forged.status_code, forged.json()["code"]) == (403, "signature_mismatch")


def test_the_topic_s_rules_hold_for_each_item(gateway: Gateway) -> None:
    items = [{"order": f"o{number % 2}", "id": f"i{number % 5}"} for number in range(10)]
    response = post(gateway, "orders/batch", orjson.dumps(items))
    records = {dict(record.headers)["ce_id"].decode(): record for record in gateway.records(EVENTS)}
    found = [records[item["event_id"]] for item in response.json()["items"]]
    assert [record.key for record in found] == [item["order"].encode() for item in items]
    for key in (b"o0", b"o1"):
        of_key = [(record.partition, record.offset) for record in found if record.key == key]
        assert of_key == sorted(of_key)
        assert len({partition for partition, _ in of_key}) == 1
    assert [event.dedup_id for event in stored(gateway, response)] == [item["id"] for item in items]
    assert [bool(item.get("duplicate")) for item in response.json()["items"]] == [False] * 10
    again = post(gateway, "orders/batch", orjson.dumps(items[:1]))
    assert again.json()["items"][0]["duplicate"] is True


def test_the_key_of_a_batch_is_no_id_of_all_its_items_but_a_repetition_is_known(gateway: Gateway) -> None:
    body = b'[{"n":1},{"n":1},{"n":2}]'
    first = post(gateway, "keyed/batch", body, idempotency_key="k1").json()["items"]
    assert not any(item.get("duplicate") for item in first)
    again = post(gateway, "keyed/batch", body, idempotency_key="k1").json()["items"]
    assert all(item["duplicate"] for item in again)
    # Without what was stored, the others stand in other places: none may be taken for what stood there before.
    rest = post(gateway, "keyed/batch", b'[{"n":3},{"n":4}]', idempotency_key="k1").json()["items"]
    assert not any(item.get("duplicate") for item in rest)


def test_an_empty_batch_is_accepted_and_stores_nothing(gateway: Gateway) -> None:
    for body, content_type in ((b"[]", "application/json"), (b"\n", NDJSON), (b"[]", CLOUD_BATCH)):
        response = post(gateway, "open/batch", body, content_type)
        assert (response.status_code, response.json()) == (202, {"items": []})


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"a":1}', "application/json", 400, "malformed"),
        (b"[1,", "application/json", 400, "malformed"),
        (b"[" * 100_000, "application/json", 400, "malformed"),
        (b"[1]", "text/plain", 415, "unsupported_media_type"),
        (b"[1]", "", 415, "unsupported_media_type"),
        (b"[" + b"1," * MAX_ITEMS + b"1]", "application/json", 413, "too_many_items"),
        (b'["' + b"x" * 1_048_576 + b'"]', "application/json", 413, "too_large"),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole_and_recorded(
    gateway: Gateway, body: bytes, content_type: str, status: int, code: str
) -> None:
    before = len(gateway.records(EVENTS))
    response = post(gateway, "open/batch", body, content_type)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert rejections(gateway, code, "open")[-1].status == status
    assert len(gateway.records(EVENTS)) == before


def test_the_body_limit_of_a_source_holds_for_its_batches(gateway: Gateway) -> None:
    response = post(gateway, "small/batch", b"[" + b"1," * 50 + b"1]")
    assert (response.status_code, response.json()["max_body_bytes"]) == (413, 100)


def test_the_largest_batch_is_stored_whole(gateway: Gateway) -> None:
    items = [{"n": number, "pad": "x" * 1_900} for number in range(MAX_ITEMS)]
    response = post(gateway, "open/batch", orjson.dumps(items))
    assert response.status_code == 202
    assert [orjson.loads(event.body)["n"] for event in stored(gateway, response)] == list(range(MAX_ITEMS))


def test_a_topic_that_is_called_batch_and_paths_that_only_look_like_one_are_told_apart(gateway: Gateway) -> None:
    assert "event_id" in post(gateway, "batch", b"[1]").json()
    assert len(post(gateway, "batch/batch", b"[1]").json()["items"]) == 1
    for path in ("open/batch/", "open/batches", "/batch", "open/batch/batch"):
        assert httpx.post(f"{gateway.url}/api/v1/ingest/{path}", content=b"[1]").status_code == 404
    assert post(gateway, "nobody/batch", b"[1]").json()["code"] == "topic_not_found"
    assert httpx.get(f"{gateway.url}/api/v1/ingest/open/batch").status_code == 405


def test_a_batch_of_cloudevents_is_taken_at_either_url(gateway: Gateway) -> None:
    body = orjson.dumps([CLOUD_EVENT | {"id": "1"}, CLOUD_EVENT | {"id": "2"}])
    for path in ("cloud", "cloud/batch"):
        response = post(gateway, path, body, f"{CLOUD_BATCH}; charset=utf-8", idempotency_key="k")
        assert response.status_code == 202
        events = stored(gateway, response)
        assert [(event.event_type, event.dedup_id) for event in events] == [
            ("order.created", "/shop 1"),
            ("order.created", "/shop 2"),
        ]
        assert {event.content_type for event in events} == {"application/cloudevents+json"}
        assert orjson.loads(b"[" + b",".join(event.body for event in events) + b"]") == orjson.loads(body)


def test_an_item_that_is_no_cloudevent_is_told_with_its_attribute_and_the_others_are_stored(gateway: Gateway) -> None:
    body = orjson.dumps([CLOUD_EVENT, CLOUD_EVENT | {"id": "9"}])
    response = post(gateway, "cloud/batch", body, CLOUD_BATCH)
    assert response.status_code == 400
    first, second = response.json()["items"]
    assert (first["status"], first["code"]) == ("REFUSED", "cloudevent_invalid")
    assert "attribute id is missing" in first["detail"]
    assert second["status"] == "QUEUED"
    assert "attribute id is missing" in rejections(gateway, "cloudevent_invalid", "cloud")[-1].reason


def test_while_kafka_does_not_answer_no_item_is_said_to_be_stored(gateway: Gateway) -> None:
    assert gateway.kafka.pid
    os.kill(gateway.kafka.pid, signal.SIGSTOP)
    try:
        started_s = time.monotonic()
        response = post(gateway, "open/batch", b'[{"during":1},{"during":2}]')
        assert time.monotonic() - started_s < 15
    finally:
        os.kill(gateway.kafka.pid, signal.SIGCONT)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert [(item["status"], item["code"], item["event_id"]) for item in response.json()["items"]] == [
        ("NOT_STORED", "not_stored", None)
    ] * 2
    wait_until(lambda: post(gateway, "open/batch", b'[{"after":1}]').status_code == 202)


def test_after_a_crash_of_kafka_batches_are_accepted_again_and_what_was_accepted_is_there(gateway: Gateway) -> None:
    acknowledged: set[bytes] = set()

    numbers = iter(range(1_000))

    def accepted() -> bool:
        number = next(numbers)
        items = [b'{"crash":%d,"n":%d}' % (number, n) for n in range(50)]
        answers = post(gateway, "open/batch", b"[" + b",".join(items) + b"]")
        told = answers.json()["items"]
        acknowledged.update(body for body, item in zip(items, told, strict=True) if item["status"] == "QUEUED")
        return bool(answers.status_code == 202)

    for _ in range(2):
        wait_until(accepted)
        gateway.kafka.kill()
        gateway.kafka.start()
    wait_until(accepted)
    assert acknowledged <= {record.value for record in gateway.records(EVENTS)}


def test_the_metrics_count_items(gateway: Gateway) -> None:
    post(gateway, "open/batch", b"[1,2]")
    metrics = httpx.get(f"{gateway.url}/metrics").text
    assert 'hooklog_ingest_batch_items_total{status="QUEUED"}' in metrics
    assert 'hooklog_ingest_batch_items_total{status="REFUSED"}' in metrics
