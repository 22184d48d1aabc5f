"""The worked example of docs/schemas.md does what the page says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from ingest.event_schemas import EventSchemas
from ingest.metrics import IngestMetrics
from rules.event_schema import event_type_errors
from runtime.problem import ProblemError
from schemas.config import TopicSpec

PAGE = (Path(__file__).parent.parent / "docs" / "schemas.md").read_text()
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
(ANSWER,) = re.findall(r"```\nHTTP/1.1 422 Unprocessable Content\n(.*?)```", PAGE, re.DOTALL)
TYPES: dict[str, Any] = yaml.safe_load(EXAMPLE)
BODY = {"type": "order.created", "order": {"id": "seven", "items": [{"sku": "a"}], "total": {"currency": "EUR"}}}


def topic(on_invalid: str) -> TopicSpec:
    types = {name: declared | {"on_invalid": on_invalid} for name, declared in TYPES.items()}
    return TopicSpec.model_validate({"id": "orders", "source_id": "shop", "event_types": types})


def test_the_example_can_be_used_and_marks_as_it_says() -> None:
    assert event_type_errors(topic("accept").event_types) == []
    schemas = EventSchemas(IngestMetrics(CollectorRegistry()))
    mark = schemas.mark_of(topic("accept"), "order.created", json.dumps(BODY).encode())
    assert mark == "/order/id is not of type integer"


def test_the_example_refuses_with_the_answer_that_is_shown() -> None:
    schemas = EventSchemas(IngestMetrics(CollectorRegistry()))
    with pytest.raises(ProblemError) as refused:
        schemas.mark_of(topic("refuse"), "order.created", json.dumps(BODY).encode())
    assert json.loads(bytes(refused.value.response().body)) == json.loads(ANSWER)
