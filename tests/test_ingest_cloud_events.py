"""CloudEvents for real: in binary and structured mode, stored as they came, or refused with the attribute named."""

from typing import Any

import httpx
import orjson
import pytest

from schemas.event import Event, decode_event
from schemas.rejection import decode_rejection
from schemas.streams import REJECTIONS
from tests.ingest_fixture import Gateway, gateway, wait_until

__all__ = ["gateway"]

STRUCTURED = "application/cloudevents+json"
EVENT: dict[str, Any] = {"specversion": "1.0", "id": "A-1", "source": "/mycontext", "type": "com.example.some"}


@pytest.fixture(scope="module", autouse=True)
def topics(gateway: Gateway) -> None:
    with gateway.admin as admin:
        assert admin.post("/api/v1/sources", json={"id": "open", "auth_type": "none"}).status_code == 201
        for topic in ("open", "binary", "structured"):
            assert admin.post("/api/v1/topics", json={"id": topic, "source_id": "open"}).status_code == 201


def post(gateway: Gateway, topic: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    response = httpx.post(f"{gateway.url}/api/v1/ingest/{topic}", content=body, headers=headers, timeout=60)
    gateway.contract.check(response)
    return response


def accepted(gateway: Gateway, response: httpx.Response) -> Event:
    assert response.status_code == 202, response.text
    record = gateway.event(response.json()["event_id"])
    return decode_event(record.value, record.headers)


def in_headers(event: dict[str, Any]) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in event.items()}


def test_a_cloudevent_in_binary_mode_has_its_type_and_id_and_its_data_as_body(gateway: Gateway) -> None:
    headers = in_headers(EVENT) | {"content-type": "text/xml"}
    event = accepted(gateway, post(gateway, "binary", b"<much wow='xml'/>", headers))
    assert (event.event_type, event.dedup_id) == ("com.example.some", "/mycontext A-1")
    assert (event.body, event.content_type) == (b"<much wow='xml'/>", "text/xml")
    assert dict(event.request_headers)["ce-source"] == "/mycontext"


def test_a_cloudevent_in_structured_mode_is_stored_as_it_came(gateway: Gateway) -> None:
    body = orjson.dumps(EVENT | {"data": {"type": "inner"}}, option=orjson.OPT_INDENT_2) + b"\n"
    event = accepted(gateway, post(gateway, "structured", body, {"content-type": f"{STRUCTURED}; charset=UTF-8"}))
    assert (event.event_type, event.dedup_id) == ("com.example.some", "/mycontext A-1")
    assert (event.body, event.content_type) == (body, f"{STRUCTURED}; charset=UTF-8")


def test_an_event_that_comes_in_either_mode_is_one_event(gateway: Gateway) -> None:
    other = EVENT | {"id": "A-2"}
    assert "duplicate" not in post(gateway, "open", b"{}", in_headers(other)).json()
    again = post(gateway, "open", orjson.dumps(other), {"content-type": STRUCTURED})
    assert again.json()["duplicate"] is True


@pytest.mark.parametrize("name", EVENT)
def test_a_cloudevent_without_a_required_attribute_is_refused_and_recorded(gateway: Gateway, name: str) -> None:
    less = {other: value for other, value in EVENT.items() if other != name}
    for response in (
        post(gateway, "open", b"{}", in_headers(less)),
        post(gateway, "open", orjson.dumps(less), {"content-type": STRUCTURED}),
    ):
        assert (response.status_code, response.json()["code"]) == (400, "cloudevent_invalid")
        assert response.json()["errors"] == [{"field": name, "message": "is missing"}]

    def is_recorded() -> bool:
        every = [decode_rejection(record.value) for record in gateway.records(REJECTIONS)]
        return len([one for one in every if f"attribute {name} is missing" in one.reason]) == 2

    wait_until(is_recorded)


def test_a_lone_type_and_an_unknown_format_are_taken_as_any_body_is(gateway: Gateway) -> None:
    assert accepted(gateway, post(gateway, "open", b"{}", {"ce-type": "hint"})).event_type == "hint"
    avro = {"content-type": "application/cloudevents+avro"}
    assert accepted(gateway, post(gateway, "open", b"\x00", avro)).body == b"\x00"
