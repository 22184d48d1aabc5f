"""Every example in docs/filters.md does what the page says."""

import json
import re
from pathlib import Path

import pytest

from rules.cel import expression_faults
from rules.payload import formed
from rules.view import MATCHED, EventView
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery

PAGE = (Path(__file__).parent.parent / "docs" / "filters.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
FILTERS = [text.strip() for kind, text in BLOCKS if kind == "cel"]
PUSH, ANSWER = [json.loads(text) for kind, text in BLOCKS if kind == "json"]
(TRANSFORM,) = [text for kind, text in BLOCKS if kind == "transform"]

DELIVERY = Delivery(
    delivery_id="d",
    event_id="e",
    subscription_id="s",
    topic_id="pushes",
    source_id="github",
    event_type="push",
    generation=1,
    config_version=1,
    received_ms=1,
    body=json.dumps(PUSH).encode(),
    request_headers=(("X-GitHub-Event", "push"),),
)


def test_there_are_ten_filters() -> None:
    assert len(FILTERS) == 10


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_of_the_page_is_true_for_the_push_of_the_page(text: str) -> None:
    assert expression_faults(text, "") == []
    assert EventView(DELIVERY).verdict(text) == MATCHED


def test_the_transform_of_the_page_makes_what_the_page_shows() -> None:
    spec = SubscriptionSpec(id="s", topic_id="pushes", target_url="https://example.com/", transform=TRANSFORM)
    assert json.loads(formed(DELIVERY, spec).body) == ANSWER


def test_the_command_of_the_page_is_one_that_is_taken() -> None:
    said = re.search(r'--filter "([^"]+)" \\\n\s+--transform "([^"]+)"', PAGE)
    assert said is not None
    assert expression_faults(said[1], said[2]) == []
