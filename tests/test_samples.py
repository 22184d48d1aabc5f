"""A sample event of each provider is one that its verifier takes, with a type, an id of its own and a mark."""

import time
from urllib.parse import parse_qs

import orjson
import pytest

from rules.identify import UNKNOWN, identify
from rules.request_headers import RequestHeaders
from rules.verify import SignedRequest, known_auth_types, signed_headers, verifier_of, verify
from rules.verify.samples import MARK, Sample, sample_of
from schemas.config import TopicSpec

WHSEC = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="
CONFIGS = {"twilio": {"url": "https://hooks.example/a"}, "basic": {"username": "u"}}


def request_of(auth_type: str, sample: Sample) -> SignedRequest:
    config = CONFIGS.get(auth_type, {})
    secrets = [] if auth_type == "none" else [WHSEC]
    signature = signed_headers(auth_type, secrets, config, sample.body, time.time(), sample.content_type)
    pairs = [*sample.headers, *signature, ("content-type", sample.content_type)]
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    return SignedRequest(RequestHeaders(raw), sample.body, secrets, config, time.time())


@pytest.mark.parametrize("auth_type", known_auth_types())
def test_a_sample_verifies_has_a_type_and_is_marked(auth_type: str) -> None:
    verifier = verifier_of(auth_type)
    assert verifier
    sample = sample_of(auth_type, "01M8")
    request = request_of(auth_type, sample)
    verify(auth_type, request)
    assert verifier.answer(request) is None
    assert verifier.prompt_answer(sample.body) is None
    assert verifier.items(sample.body) is None
    found = identify(
        TopicSpec(id="t", source_id="s"),
        request.headers,
        sample.body,
        event_type=verifier.event_type,
        dedup_id=verifier.dedup_id,
        told=verifier.told(sample.body),
    )
    assert found.event_type != UNKNOWN
    if sample.content_type == "application/json":
        assert orjson.loads(sample.body)[MARK] is True
    else:
        assert parse_qs(sample.body.decode())[MARK] == ["true"]


@pytest.mark.parametrize("auth_type", known_auth_types())
def test_two_samples_are_two_events(auth_type: str) -> None:
    first, second = sample_of(auth_type, "01M8"), sample_of(auth_type, "01M9")
    assert (first.body, first.headers) != (second.body, second.headers)
