"""The index of the config tables and its pages, against the obvious way to do it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config_index import ConfigIndex
from ingest.config_pages import page
from ingest.config_queries import SubscriptionQuery
from ingest.sorted_ids import SortedIds
from runtime.keyring import Keyring
from runtime.problem import ProblemError
from runtime.tables import ConfigTables
from schemas.config import SubscriptionSpec, TopicSpec
from schemas.stored import Record
from schemas.streams import StreamNames
from tests.ingest_fixture import KEYS

IDS = st.text(alphabet="aBz09._-", min_size=1, max_size=4)
CHANGES = st.lists(st.tuples(IDS, st.sampled_from(["s1", "s2", None])), max_size=40)


def topic(record_id: str, source_id: str, version: int = 1) -> Record[Any]:
    return Record(TopicSpec(id=record_id, source_id=source_id), version, version, "then", "then")


def subscription(record_id: str, **fields: Any) -> Record[Any]:
    spec = SubscriptionSpec.model_validate(
        {"id": record_id, "topic_id": "t", "target_url": "https://Hooks.example.com/in"} | fields
    )
    return Record(spec, 1, 1, "then", "then")


def tables() -> ConfigTables:
    return ConfigTables("127.0.0.1:9", StreamNames("x."), Keyring.parse(KEYS))


@given(CHANGES, st.integers(0, 40))
def test_the_index_is_what_a_search_of_the_tables_finds(changes: list[tuple[str, str | None]], looks: int) -> None:
    config = tables()
    index = ConfigIndex(config)
    records: Mapping[str, Record[Any]] = config.table("topics").records
    for version, (record_id, source_id) in enumerate(changes):
        record = topic(record_id, source_id, version) if source_id else None
        config.table("topics").put(record_id, record, version)
        if version >= looks:  # sorted lists exist from the first look on
            assert list(index.ids("topics")) == sorted(records)
        for source in ("s1", "s2"):
            children = index.children("sources", source)
            expected = sorted(one for one, found in records.items() if found.spec.source_id == source)
            assert len(children) == len(expected)
            if version >= looks:
                assert list(children) == expected


def test_nobody_is_the_parent_of_a_subscription_of_all_topics() -> None:
    config = tables()
    index = ConfigIndex(config)
    config.table("subscriptions").put("all", subscription("all", topic_id="*"), 1)
    assert list(index.children("topics", "*")) == []
    assert list(index.of_parent("subscriptions", "*")) == ["all"]


def pages(
    records: dict[str, Record[Any]],
    limit: int,
    wanted: Callable[[Record[Any]], bool],
    between: Callable[[SortedIds], None] = lambda _: None,
) -> Iterator[list[str]]:
    ids = SortedIds()
    for record_id in records:
        ids.add(record_id)
    cursor: str | None = ""
    while cursor is not None:
        found = asyncio.run(
            page(
                ids,
                records,
                limit=limit,
                cursor=cursor,
                wanted=wanted,
                shown=lambda record: {"id": record.spec.id},
            )
        )
        yield [item["id"] for item in found["data"]]
        cursor = found["next_cursor"]
        between(ids)


@given(st.sets(IDS, max_size=30), st.integers(1, 12), st.sampled_from("aBz0"))
def test_pages_of_any_size_make_the_filtered_list(ids: set[str], limit: int, letter: str) -> None:
    records = {record_id: topic(record_id, "s") for record_id in ids}
    found = list(pages(records, limit, lambda record: letter in record.spec.id))
    expected = sorted(record_id for record_id in ids if letter in record_id)
    assert [record_id for part in found for record_id in part] == expected
    assert len(found) == max(1, -(-len(expected) // limit))


@given(st.sets(IDS, min_size=1, max_size=20), st.integers(1, 5), st.data())
def test_what_stays_is_seen_once_whatever_comes_and_goes_between_pages(
    ids: set[str], limit: int, data: st.DataObject
) -> None:
    records = {record_id: topic(record_id, "s") for record_id in ids}
    changed: set[str] = set()

    def change(now: SortedIds) -> None:
        record_id = data.draw(IDS)
        if record_id in now and record_id in ids:
            now.discard(record_id)
            changed.add(record_id)
        elif record_id not in records:
            records[record_id] = topic(record_id, "s")
            now.add(record_id)
            changed.add(record_id)

    seen = [record_id for part in pages(records, limit, lambda _: True, change) for record_id in part]
    assert seen == sorted(set(seen))
    assert ids - changed <= set(seen)


def test_a_filter_that_matches_the_last_of_many_finds_it() -> None:
    records = {f"t{number:05}": topic(f"t{number:05}", "s") for number in range(2_000)}
    assert list(pages(records, 1, lambda record: record.spec.id == "t01999")) == [["t01999"]]


def test_a_cursor_that_is_none_is_refused() -> None:
    with pytest.raises(ProblemError, match="cursor"):
        asyncio.run(page(SortedIds(), {}, limit=1, cursor="!", shown=lambda _: {}))


@pytest.mark.parametrize(
    ("asked", "fields", "found"),
    [
        ({}, {}, True),
        ({"q": "ILL"}, {}, True),
        ({"q": "acme"}, {"subscriber_name": "ACME GmbH"}, True),
        ({"q": "other"}, {"subscriber_name": "ACME GmbH"}, False),
        ({"is_active": "true"}, {"is_active": False}, False),
        ({"is_active": "false"}, {"is_active": False}, True),
        ({"subscriber_name": "ACME"}, {"subscriber_name": "ACME GmbH"}, False),
        ({"target_url": "https://hooks.example.com/other"}, {}, False),
        ({"target_url": "https://Hooks.example.com/"}, {}, True),
        ({"target_url": "HOOKS.example.com"}, {}, True),
        ({"target_url": "example.com"}, {}, False),
        ({"event_type": "order.paid"}, {}, True),
        ({"event_type": "order.paid"}, {"event_types": ["order.*"]}, True),
        ({"event_type": "refund.paid"}, {"event_types": ["order.*"]}, False),
        ({"event_type": "order.paid", "is_active": "true"}, {"event_types": ["order.*"], "is_active": False}, False),
    ],
)
def test_a_subscription_is_found_by_what_it_is(asked: dict[str, str], fields: dict[str, Any], found: bool) -> None:
    assert SubscriptionQuery.model_validate(asked).wants(subscription("billing", **fields)) is found
