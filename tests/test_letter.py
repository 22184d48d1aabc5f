"""What `hooklog send` posts: type and id stand where the source has them, under a signature that verifies."""

import json

import pytest

from cli.traffic.letter import CannotPlaceError, Letter, Sender, compose
from rules.identify import identify
from rules.request_headers import RequestHeaders
from rules.verify import SignedRequest, VerificationError, verifier_of, verify
from schemas.config import TopicSpec

NOW_S = 1_800_000_000.0
GITHUB = Sender("github", secrets=["hush"])
OPEN = Sender("none")


def headers_of(letter: Letter) -> RequestHeaders:
    return RequestHeaders([(name.lower().encode(), value.encode()) for name, value in letter.sealed(NOW_S)])


def identity_of(letter: Letter, **rules: object) -> tuple[str, str]:
    """The type and the sender's id that ingest finds in the letter."""
    topic = TopicSpec.model_validate({"id": "t", "source_id": "s", **rules})
    verifier = verifier_of(letter.sender.auth_type)
    assert verifier
    found = identify(topic, headers_of(letter), letter.body, event_type=verifier.event_type, dedup_id=verifier.dedup_id)
    return found.event_type, found.dedup_id


def check(letter: Letter) -> None:
    sender = letter.sender
    request = SignedRequest(headers_of(letter), letter.body, sender.secrets, sender.auth_config, NOW_S)
    verify(sender.auth_type, request)


@pytest.mark.parametrize("sender", [GITHUB, OPEN, Sender("hmac", {"prefix": "sha256="}, ["hush"])])
def test_a_letter_verifies_and_has_the_type_and_the_id_that_were_asked_for(sender: Sender) -> None:
    letter = compose(sender, b'{"a": 1}', "application/json", event_type="push", dedup_id="d-1")
    check(letter)
    assert identity_of(letter) == ("push", "d-1")
    assert letter.body == b'{"a": 1}'


@pytest.mark.parametrize("rule", [{"header": "X-Kind"}, {"pointer": "/meta/kind"}])
def test_the_topics_own_rule_says_where_the_type_stands(rule: dict[str, str]) -> None:
    sender = Sender("github", secrets=["hush"], event_type=rule)
    letter = compose(sender, b'{"meta": {"kind": "old"}}', "application/json", event_type="new")
    check(letter)
    assert identity_of(letter, event_type=rule)[0] == "new"


def test_a_type_that_has_no_place_in_the_body_is_refused() -> None:
    sender = Sender("none", event_type={"pointer": "/meta/kind"})
    for body in (b"not json", b"[]", b'{"meta": 1}', b"{}"):
        with pytest.raises(CannotPlaceError, match="/meta/kind"):
            compose(sender, body, "application/json", event_type="new")


def test_a_type_that_the_topic_fixes_can_only_be_that() -> None:
    sender = Sender("none", event_type={"const": "ping"})
    assert compose(sender, b"{}", "application/json", event_type="ping").body == b"{}"
    with pytest.raises(CannotPlaceError, match="ping"):
        compose(sender, b"{}", "application/json", event_type="pong")


def test_the_same_letter_has_another_id_each_time_unless_one_was_given() -> None:
    letter = compose(GITHUB, b"{}", "application/json")
    assert identity_of(letter)[1] != identity_of(letter)[1]
    same = compose(GITHUB, b"{}", "application/json", dedup_id="one")
    assert identity_of(same) == identity_of(same)


def test_an_id_that_the_signature_covers_cannot_be_chosen() -> None:
    with pytest.raises(CannotPlaceError, match="covers the id"):
        compose(Sender("standard_webhooks", secrets=["s"]), b"{}", "application/json", dedup_id="mine")


def test_a_header_that_was_typed_wins_over_all_others() -> None:
    forged = [("x-hub-signature-256", "sha256=00"), ("content-type", "text/plain")]
    letter = compose(GITHUB, b"{}", "application/json", own_headers=forged)
    assert [pair for pair in letter.sealed(NOW_S) if pair[0].lower() in dict(forged)] == forged
    with pytest.raises(VerificationError):
        check(letter)


def test_an_unsigned_letter_has_no_signature() -> None:
    letter = compose(GITHUB, json.dumps({}).encode(), "application/json").unsigned()
    assert not headers_of(letter).all("x-hub-signature-256")
