"""What calls itself a CloudEvent is one, or is refused with the attribute named."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.cloud_events import CloudEventError, media_type_of, told_by_document, told_by_headers
from rules.request_headers import RequestHeaders
from rules.told import Told

EVENT: dict[str, Any] = {"specversion": "1.0", "id": "A234-1234-1234", "source": "/mycontext", "type": "com.example"}


def binary(**attributes: str) -> Told | None:
    return told_by_headers(
        RequestHeaders([(f"ce-{name}".encode(), text.encode()) for name, text in attributes.items()])
    )


def refused(attributes: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(CloudEventError) as caught:
        told_by_document(orjson.dumps(attributes))
    return caught.value.attribute, caught.value.message


def test_an_event_tells_the_same_in_either_mode() -> None:
    expected = Told("com.example", "/mycontext A234-1234-1234")
    assert binary(**EVENT) == told_by_document(orjson.dumps(EVENT)) == expected


def test_header_values_are_percent_decoded_once_and_taken_out_of_their_quotes() -> None:
    # The example of the HTTP protocol binding, section 3.1.3.2.
    told = binary(**EVENT | {"type": "Euro%20%E2%82%AC%20%F0%9F%98%80", "id": '"a \\"b\\" %2541"'})
    assert told == Told("Euro € 😀", '/mycontext a "b" %41')
    with pytest.raises(CloudEventError) as caught:
        binary(**EVENT | {"type": "%C0%A0"})  # an overlong encoding, which must be rejected
    assert caught.value.attribute == "type"


@pytest.mark.parametrize("name", EVENT)
def test_a_required_attribute_that_is_missing_or_wrong_is_named(name: str) -> None:
    assert refused({other: value for other, value in EVENT.items() if other != name}) == (name, "is missing")
    wrong: list[Any] = ["", 1, None, ["x"], "a\nb", "a\u009fb"]
    for value in wrong:
        assert refused(EVENT | {name: value})[0] == name
    headers = {other: value for other, value in EVENT.items() if other != name}
    with pytest.raises(CloudEventError) as caught:
        binary(**headers)
    assert caught.value.attribute == name


def test_another_version_and_a_source_with_blanks_are_refused() -> None:
    assert refused(EVENT | {"specversion": "0.3"})[0] == "specversion"
    assert refused(EVENT | {"source": "/a b"})[0] == "source"


def test_a_lone_type_is_a_hint_and_no_cloudevent() -> None:
    assert binary(type="order.created") is None
    assert binary() is None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 5_000])
def test_what_is_no_object_is_no_cloudevent(body: bytes) -> None:
    with pytest.raises(CloudEventError) as caught:
        told_by_document(body)
    assert not caught.value.attribute


@given(st.dictionaries(st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-specversion"]), st.binary(max_size=30)))
def test_no_header_makes_the_reading_fail_in_another_way(headers: dict[str, bytes]) -> None:
    with suppress(CloudEventError):
        told_by_headers(RequestHeaders([(name.encode(), value) for name, value in headers.items()]))


def test_a_media_type_is_known_in_any_case_and_with_parameters() -> None:
    assert media_type_of("Application/CloudEvents+JSON; charset=UTF-8") == "application/cloudevents+json"
    assert media_type_of("") == ""
