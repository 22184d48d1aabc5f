"""What is sent of an event: the bytes as they came, a transform's value, an envelope, a CloudEvent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.payload import CLOUDEVENTS_JSON, JSON, MAX_TRANSFORMED_BYTES, TransformFailedError, formed
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery

BODY = b'{"ref":"refs/heads/main",  "n":1.0, "id":12345678901234567890}'


def delivery(body: bytes = BODY, content_type: str = JSON, **changes: Any) -> Delivery:
    return Delivery(
        delivery_id="d",
        event_id="01JD8Z6Q3M8T5V7X9Y2A4C6E8G",
        subscription_id="s",
        topic_id="pushes",
        source_id="github",
        event_type="push",
        generation=1,
        config_version=1,
        received_ms=1_767_323_045_678,
        body=body,
        content_type=content_type,
        **changes,
    )


def spec(**fields: Any) -> SubscriptionSpec:
    return SubscriptionSpec.model_validate({"id": "s", "topic_id": "t", "target_url": "http://example.com/"} | fields)


def sent(of: Delivery, **fields: Any) -> tuple[str, Any]:
    """Content type and parsed body of what is sent."""
    made = formed(of, spec(**fields))
    return made.content_type, json.loads(made.body)


@given(st.binary(max_size=200), st.sampled_from(["", JSON, "text/plain"]))
def test_without_transform_and_format_the_bytes_are_those_that_came(body: bytes, content_type: str) -> None:
    of = delivery(body, content_type)
    assert formed(of, spec()) is of


def test_a_transform_makes_json_of_what_it_reads() -> None:
    of = delivery(request_headers=(("X-Team", "billing"),))
    transform = "{'branch': branch, 'of': [event.ref, topic, source, event_type], 'team': headers['x-team'], 'n': null}"
    assert sent(of, transform=transform) == (
        JSON,
        {
            "branch": "main",
            "of": ["refs/heads/main", "pushes", "github", "push"],
            "team": "billing",
            "n": None,
        },
    )


def test_what_json_has_not_is_written_as_protobuf_writes_it() -> None:
    transform = "{'at': timestamp('2026-01-02T03:04:05Z'), 'for': duration('90.5s'), 'raw': b'hook', 'one': {1: true}}"
    with pytest.raises(TransformFailedError):
        formed(delivery(), spec(transform=transform))
    _, value = sent(delivery(), transform=transform.replace("{1: true}", "{'1': true}"))
    assert value == {"at": "2026-01-02T03:04:05Z", "for": "90.5s", "raw": "aG9vaw==", "one": {"1": True}}


def test_every_attempt_of_a_transformed_delivery_sends_the_same_bytes() -> None:
    transform = "{'z': 1, 'a': {'y': 2, 'b': 3}, 'm': event.n}"
    assert formed(delivery(), spec(transform=transform)).body == b'{"a":{"b":3,"y":2},"m":1.0,"z":1}'


@pytest.mark.parametrize(
    ("transform", "body", "said"),
    [
        ("event.nothing", BODY, 'Key not found in map : "nothing"'),
        ("{'a': headers['x-gone']}", BODY, 'Key not found in map : "x-gone"'),
        ("event.a", b"no json", "the body is not JSON, so that event has nothing in it"),
        ("int", BODY, "its value is no JSON: there is no Type in it"),
        ("1 / 0", BODY, "divide by zero"),
        ("nope", BODY, "line 1, column 1: undeclared reference to 'nope'"),
        ("event.s + event.s", b'{"s":"%b"}' % (b"x" * MAX_TRANSFORMED_BYTES), "its value takes 2097154 bytes"),
        ("event", b"[" * 400 + b"]" * 400, "its value is no JSON: "),
        (
            "event.l.exists(a, a.exists(b, b < 0))",
            b'{"l":[%b[]]}' % ((b"[%b0]," % (b"0," * 200)) * 200),
            "Iteration budget exceeded",
        ),
    ],
)
def test_a_transform_that_gives_nothing_to_send_says_why(transform: str, body: bytes, said: str) -> None:
    with pytest.raises(TransformFailedError) as failed:
        formed(delivery(body), spec(transform=transform))
    assert str(failed.value).startswith(said)


META = {"id": "01JD8Z6Q3M8T5V7X9Y2A4C6E8G", "type": "push", "source": "github", "topic": "pushes"}


def test_an_envelope_has_the_body_as_it_was_written() -> None:
    made = formed(delivery(), spec(format="envelope"))
    assert made.content_type == JSON
    assert BODY in made.body  # numbers beyond a float, and 1.0, stay what they are
    expected = META | {"timestamp": "2026-01-02T03:04:05.678Z", "data": json.loads(BODY)}
    assert json.loads(made.body) == expected


def test_a_cloud_event_has_the_attributes_that_the_standard_names() -> None:
    made = formed(delivery(), spec(format="cloudevents"))
    assert made.content_type == CLOUDEVENTS_JSON
    assert BODY in made.body
    assert json.loads(made.body) == META | {
        "specversion": "1.0",
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": JSON,
        "data": json.loads(BODY),
    }


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        (b"hello", "text/plain; charset=utf-8", {"data": "hello"}),
        (b"12", "text/plain", {"data": "12"}),
        (b"\xff\xfe", "text/plain", {"data_base64": "//4="}),
        (b"a=1", "application/x-www-form-urlencoded", {"data": "a=1"}),
        (b"\x00\x01", "application/octet-stream", {"data_base64": "AAE="}),
        (b"12", "application/octet-stream", {"data_base64": "MTI="}),
        (b"12", "application/vnd.x+json", {"data": 12}),
        (b"[1]", "", {"data": [1]}),
        (b"no json", JSON, {"data_base64": "bm8ganNvbg=="}),
        (b"", "text/plain", {}),
        (b"", "", {}),
    ],
)
@pytest.mark.parametrize("form", ["envelope", "cloudevents"])
def test_what_is_no_json_travels_as_text_or_base64(
    form: str, body: bytes, content_type: str, data: dict[str, Any]
) -> None:
    _, document = sent(delivery(body, content_type), format=form)
    assert {name: document[name] for name in ("data", "data_base64") if name in document} == data


def test_a_format_wraps_what_the_transform_made() -> None:
    content_type, document = sent(delivery(b'{"a":5}', "text/x"), transform="{'b': event.a}", format="cloudevents")
    assert (content_type, document["data"], document["datacontenttype"]) == (CLOUDEVENTS_JSON, {"b": 5}, JSON)
