"""What an event is: type, the sender's id, ordering key, partition key."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.identify import MAX_EVENT_TYPE_CHARS, MAX_KEY_CHARS, Identity, identify
from rules.request_headers import RequestHeaders
from rules.told import Told
from rules.verify import Place
from schemas.config import TopicSpec

GITHUB_TYPE, GITHUB_ID = Place(header="X-GitHub-Event"), Place(header="X-GitHub-Delivery")


def identity(headers: dict[str, str], body: bytes | dict[str, Any] = b"", **rules: Any) -> Identity:
    told, item = rules.pop("told", None), rules.pop("item", "")
    topic = TopicSpec.model_validate({"id": "t", "source_id": "s"} | rules)
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return identify(topic, RequestHeaders(pairs), raw, event_type=GITHUB_TYPE, dedup_id=GITHUB_ID, told=told, item=item)


def test_the_topic_s_rule_decides_the_type_before_everything_else() -> None:
    headers = {"X-Kind": "a", "X-GitHub-Event": "push"}
    assert identity(headers, event_type={"header": "x-kind"}).event_type == "a"
    assert identity(headers, {"k": {"x/y": ["b"]}}, event_type={"pointer": "/k/x~1y/0"}).event_type == "b"
    assert identity(headers, event_type={"const": "c"}).event_type == "c"


def test_a_rule_that_finds_nothing_leaves_the_type_to_the_others() -> None:
    assert identity({"X-GitHub-Event": "push"}, event_type={"pointer": "/k"}).event_type == "push"


def test_the_provider_s_type_comes_before_cloudevents_and_the_body() -> None:
    headers = {"X-GitHub-Event": "push", "ce-type": "made"}
    assert identity(headers, {"type": "t"}).event_type == "push"
    assert identity({"ce-type": "made"}, {"type": "t"}).event_type == "made"


def test_the_body_tells_the_type_when_no_header_does() -> None:
    assert identity({}, {"event": "c", "event_type": "b", "type": "a"}).event_type == "a"
    assert identity({}, {"event": "c", "event_type": "b", "type": {"not": "text"}}).event_type == "b"
    assert identity({}, {"event": "c"}).event_type == "c"
    assert identity({}, {"other": "c"}).event_type == "unknown"


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"{", b"[]", b"null", b'"type"', b"[" * 5_000, b'{"type":"\\ud800"}']
)
def test_a_body_that_is_no_json_object_has_an_unknown_type(body: bytes) -> None:
    assert identity({}, body, ordering_key={"pointer": "/a/b"}).partition_key("event") == "event"
    assert identity({}, body).event_type == "unknown"


def test_a_type_that_no_pattern_could_match_is_passed_over() -> None:
    assert identity({"X-GitHub-Event": "x" * (MAX_EVENT_TYPE_CHARS + 1)}, {"type": "t"}).event_type == "t"
    assert identity({}, {"type": "a\nb", "event": "c"}).event_type == "c"
    assert identity({"X-GitHub-Event": "x" * MAX_EVENT_TYPE_CHARS}).event_type == "x" * MAX_EVENT_TYPE_CHARS


def test_the_dedup_id_is_the_first_that_is_there() -> None:
    headers = {
        "X-Id": "rule",
        "X-GitHub-Delivery": "provider",
        "webhook-id": "standard",
        "Idempotency-Key": "key",
    }
    rule = {"dedup_id": {"header": "X-Id"}}
    assert identity(headers, **rule).dedup_id == "rule"
    del headers["X-Id"]
    assert identity(headers, **rule).dedup_id == "provider"
    del headers["X-GitHub-Delivery"]
    assert identity(headers, told=Told(dedup_id="/shop 1"), **rule).dedup_id == "/shop 1"
    assert identity(headers, **rule).dedup_id == "standard"
    del headers["webhook-id"]
    assert identity(headers, **rule).dedup_id == "key"
    del headers["Idempotency-Key"]
    assert identity(headers, **rule).dedup_id == ""


def test_what_the_envelope_says_comes_after_the_provider_and_before_the_rest() -> None:
    told = Told("made", "/shop 1")
    assert identity({"X-GitHub-Event": "push", "X-GitHub-Delivery": "d"}, told=told) == Identity("push", "d", "")
    assert identity({"ce-type": "c", "webhook-id": "w"}, {"type": "t"}, told=told) == Identity("made", "/shop 1", "")
    assert identity({"webhook-id": "w"}, {"type": "t"}, told=Told()) == Identity("t", "w", "")


def test_of_several_events_those_with_an_id_in_a_header_each_have_one_of_their_own() -> None:
    for name in ("X-GitHub-Delivery", "webhook-id", "Idempotency-Key"):
        assert identity({name: "d"}, item="7 ab").dedup_id == "d 7 ab"
    assert identity({"X-Id": "d"}, item="7 ab", dedup_id={"header": "x-id"}).dedup_id == "d 7 ab"
    assert identity({}, {"id": "b"}, item="7 ab", dedup_id={"pointer": "/id"}).dedup_id == "b"
    assert identity({}, item="7 ab", told=Told(dedup_id="t")).dedup_id == "t"
    assert identity({}, item="7 ab").dedup_id == ""


def test_a_number_in_the_body_is_an_id() -> None:
    assert identity({}, {"id": 42}, dedup_id={"pointer": "/id"}).dedup_id == "42"
    assert identity({}, {"id": True}, dedup_id={"pointer": "/id"}).dedup_id == ""
    assert identity({}, {"id": {}}, dedup_id={"pointer": "/id"}).dedup_id == ""


def test_long_ids_are_hashed_so_that_two_of_them_stay_two() -> None:
    one = identity({"webhook-id": "x" * MAX_KEY_CHARS + "1"}).dedup_id
    two = identity({"webhook-id": "x" * MAX_KEY_CHARS + "2"}).dedup_id
    assert one != two
    assert max(len(one), len(two)) <= MAX_KEY_CHARS
    assert identity({"webhook-id": "x" * MAX_KEY_CHARS}).dedup_id == "x" * MAX_KEY_CHARS


def test_the_partition_key_is_the_ordering_key_else_the_dedup_id_else_the_event_id() -> None:
    rule = {"ordering_key": {"pointer": "/order/id"}}
    assert identity({"webhook-id": "d"}, {"order": {"id": "o1"}}, **rule).partition_key("e") == "o1"
    assert identity({"webhook-id": "d"}, {}, **rule).partition_key("e") == "d"
    assert identity({}, {}, **rule).partition_key("e") == "e"


@given(
    headers=st.dictionaries(st.sampled_from(["ce-type", "webhook-id"]), st.binary(max_size=300)),
    body=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "a", "0"]), inner),
    ).map(orjson.dumps),
    pointer=st.sampled_from(["", "/", "/a", "/a/0", "/0/type", "/type/-", "/a/01"]),
)
def test_every_request_is_identified_within_bounds(headers: dict[str, bytes], body: bytes, pointer: str) -> None:
    topic = TopicSpec.model_validate(
        {
            "id": "t",
            "source_id": "s",
            "ordering_key": {"pointer": pointer},
            "dedup_id": {"pointer": pointer},
            "event_type": {"pointer": pointer},
        }
    )
    pairs = [(name.encode(), value) for name, value in headers.items()]
    found = identify(topic, RequestHeaders(pairs), body)
    assert 0 < len(found.event_type) <= MAX_EVENT_TYPE_CHARS
    assert len(found.dedup_id) <= MAX_KEY_CHARS
    assert 0 < len(found.partition_key("event").encode()) <= 4 * MAX_KEY_CHARS


@pytest.mark.parametrize(
    ("body", "event_type"),
    [
        (b"SmsStatus=sent&MessageStatus=delivered", "delivered"),
        (b"MessageStatus=&SmsStatus=sent%20twice", "sent twice"),
        (b"CallStatus=ringing", "unknown"),
        (b"", "unknown"),
        (b"\xff=1", "unknown"),
        (b"a=1&" * 2_000 + b"SmsStatus=sent", "unknown"),
        (b'{"type":"t"}', "t"),
    ],
)
def test_a_form_has_its_type_in_the_first_of_the_provider_s_fields_that_says_something(
    body: bytes, event_type: str
) -> None:
    topic = TopicSpec.model_validate({"id": "t", "source_id": "s"})
    place = Place(form=("MessageStatus", "SmsStatus"))
    assert identify(topic, RequestHeaders([]), body, event_type=place).event_type == event_type
