"""Which subscriptions get an event."""

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from rules.match import INACTIVE, OTHER_TYPE, matches_type, skip_reason, topics_named_for
from schemas.config import SubscriptionSpec

TYPES = st.text("ab.*", max_size=8)


def subscription(**fields: object) -> SubscriptionSpec:
    return SubscriptionSpec.model_validate({"id": "s", "topic_id": "t", "target_url": "http://example.com/"} | fields)


def test_a_subscription_of_all_topics_gets_every_topic_but_the_operations() -> None:
    assert topics_named_for("orders") == ("orders", "*")
    assert topics_named_for("hooklog.other") == ("hooklog.other", "*")
    assert topics_named_for("hooklog.operations") == ("hooklog.operations",)


def test_a_subscription_without_types_gets_every_type() -> None:
    assert skip_reason(subscription(), "anything") == ""


def test_an_inactive_subscription_gets_nothing_whatever_the_type() -> None:
    assert skip_reason(subscription(is_active=False, event_types=["other"]), "push") == INACTIVE


def test_a_type_that_no_pattern_fits_is_skipped_with_that_reason() -> None:
    assert skip_reason(subscription(event_types=["order.*", "push"]), "pull") == OTHER_TYPE
    assert skip_reason(subscription(event_types=["order.*", "push"]), "order.created") == ""


@given(TYPES, st.text("ab.", max_size=8))
def test_a_star_stands_for_any_run_of_characters_and_nothing_else_is_special(pattern: str, event_type: str) -> None:
    expected = event_type == pattern or fnmatch.fnmatchcase(event_type, pattern)
    assert matches_type([pattern], event_type) == expected


def test_a_pattern_made_to_backtrack_is_answered() -> None:
    assert not matches_type(["a*" * 90 + "b"], "a" * 200)
