"""What it costs to hold a body against a schema: `python -m benchmarks.schemas`, half a minute on an idle machine."""

import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import jsonschema
import orjson
from prometheus_client import CollectorRegistry

from ingest.event_schemas import EventSchemas
from ingest.metrics import IngestMetrics
from rules.event_schema import TOO_LARGE, EventSchema
from schemas.config import TopicSpec

ITEM = {
    "type": "object",
    "required": ["sku", "quantity"],
    "properties": {
        "sku": {"type": "string"},
        "quantity": {"type": "integer", "minimum": 1},
        "price": {"type": "number"},
    },
}
ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "type", "order"],
    "properties": {
        "id": {"type": "string", "pattern": "^evt_[a-z0-9]+$"},
        "type": {"const": "order.created"},
        "order": {
            "required": ["id", "items"],
            "properties": {
                "id": {"type": "integer"},
                "currency": {"enum": ["EUR", "USD"]},
                "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            },
        },
    },
    "$defs": {"item": ITEM},
}


def order(items: int) -> dict[str, Any]:
    """A body of about fifty bytes an item."""
    listed = [{"sku": f"sku-{at:04}", "quantity": 1 + at % 9, "price": 1.5} for at in range(items)]
    return {"id": "evt_a1", "type": "order.created", "order": {"id": 7, "currency": "EUR", "items": listed}}


def each_us(run: Callable[[], Any], times: int) -> float:
    """Microseconds of one run: the median of five rounds."""
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(times):
            run()
        rounds.append((time.perf_counter() - start) / times * 1e6)
    return statistics.median(rounds)


def topic(schema: dict[str, Any]) -> TopicSpec:
    """A topic with one event type."""
    types = {"order.created": {"schema": schema}}
    return TopicSpec.model_validate({"id": "orders", "source_id": "shop", "event_types": types})


def shown(name: str, run: Callable[[], Any], times: int) -> None:
    """Prints what one run takes."""
    print(f"  {name:<29}{each_us(run, times):11.1f} us")


def ordinary(items: int) -> None:
    """What an event of a topic with a schema pays, and what one without pays."""
    body, times = json.dumps(order(items)).encode(), 40_000 // items
    bad = order(items)
    bad["order"]["items"][-1]["quantity"] = "many"
    wrong, parsed = json.dumps(bad).encode(), orjson.loads(body)
    marks, declared = EventSchemas(IngestMetrics(CollectorRegistry())), topic(ORDER)
    without, independent = declared.model_copy(update={"event_types": {}}), jsonschema.Draft202012Validator(ORDER)
    print(f"{len(body)} bytes")
    shown("no schema", lambda: marks.mark_of(without, "order.created", body), times)
    shown("parsed, for comparison", lambda: orjson.loads(body), times)
    shown("as its schema says", lambda: marks.mark_of(declared, "order.created", body), times)
    shown("not so, and marked", lambda: marks.mark_of(declared, "order.created", wrong), times)
    shown("jsonschema, already parsed", lambda: independent.is_valid(parsed), max(1, times // 50))


def worst(name: str, schema: dict[str, Any], one: bytes) -> None:
    """How long the largest list that is still checked holds the loop."""
    ready, most = EventSchema(schema), 1_000_000 // (len(one) + 1)
    sizes = range(most, 0, -max(1, most // 500))
    body = next(body for size in sizes if TOO_LARGE not in ready.faults(body := b"[" + b",".join([one] * size) + b"]"))
    shown(f"{name}, {len(body)} bytes", lambda: ready.faults(body), 1)


def worst_expression(places: int) -> None:
    """The same for a text and an expression with a table of states that has no room."""
    ready = EventSchema({"pattern": f"[ab]*a[ab]{{{places}}}c"})
    text = "".join(random.Random(1).choices("ab", k=1_000_000))
    sizes = range(len(text), 0, -2_000)
    body = next(body for size in sizes if TOO_LARGE not in ready.faults(body := json.dumps(text[:size]).encode()))
    shown(f"{places} places, {len(body)} bytes", lambda: ready.faults(body), 1)


def main() -> None:
    """Prints everything."""
    for items in (20, 200, 20_000):
        ordinary(items)
    print("once for each version of a topic")
    shown("compiled", lambda: EventSchema(ORDER), 200)
    print("the worst that is taken")
    worst("50 branches", {"items": {"oneOf": [{"const": at} for at in range(50)]}}, b"49")
    worst("100 objects", {"items": {"enum": [{"a": at} for at in range(100)]}}, b'{"a":99}')
    worst("multiples", {"items": {"multipleOf": 0.1}}, b"0.3")
    worst("no repetition", {"items": {"uniqueItems": True}}, b'["a","b","c","d"]')
    worst("contains", {"items": {"contains": {"const": 5}}}, b"[1,2,3,4,5]")
    for places in (8, 15, 36, 75, 160):
        worst_expression(places)


if __name__ == "__main__":
    main()
