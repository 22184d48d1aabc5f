"""The codecs that have golden files, and the form of those files."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.attempt import decode_attempt, encode_attempt
from schemas.delivery import decode_delivery, encode_delivery
from schemas.dispatch import decode_dispatch, encode_dispatch
from schemas.event import decode_event, encode_event
from schemas.expired import decode_expired, encode_expired
from schemas.health import decode_health, encode_health
from schemas.operation import decode_operation, encode_operation
from schemas.outcome import decode_outcome, encode_outcome
from schemas.rejection import decode_rejection, encode_rejection
from schemas.replay import decode_replay_record, encode_replay_record
from schemas.sealing import record_context
from schemas.stored import decode_record, encode_record
from tests.golden import cases, own_cases, schema_cases

FOLDER = Path(__file__).parent

Wire = tuple[list[tuple[str, bytes]], bytes]
"""Headers and value, as they stand in Kafka."""


@dataclass(frozen=True)
class Codec:
    """How one kind of record is written and read."""

    write: Callable[[Any], Wire]
    read: Callable[[Wire], Any]


def in_value(encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Codec:
    """A codec that has no headers."""
    return Codec(lambda item: ([], encode(item)), lambda wire: decode(wire[1]))


def in_headers(encode: Callable[[Any], Any], decode: Callable[[bytes, Any], Any]) -> Codec:
    """A codec that leaves the body as it is."""
    return Codec(lambda item: (encode(item), item.body), lambda wire: decode(wire[1], wire[0]))


def seal(text: str, context: str) -> str:
    """Stands for encryption, which never makes the same bytes twice."""
    return f"sealed for {context}: {text}"


def unseal(text: str, context: str) -> str:
    """The reverse of `seal`."""
    return text.removeprefix(f"sealed for {context}: ").removeprefix(f"sealed for {record_context(context)}: ")


def in_table(kind: str) -> Codec:
    """The codec of one of the config tables."""
    return in_value(lambda item: encode_record(item, seal), lambda value: decode_record(kind, value, unseal))


ALL: dict[str, tuple[Codec, Any]] = {
    name: (codec, item)
    for codec, items in (
        (in_headers(encode_event, decode_event), cases.EVENTS | schema_cases.MARKED),
        (in_headers(encode_delivery, decode_delivery), cases.DELIVERIES),
        (in_value(encode_attempt, decode_attempt), cases.ATTEMPTS),
        (in_value(encode_dispatch, decode_dispatch), cases.DISPATCHES),
        (in_value(encode_rejection, decode_rejection), cases.REJECTIONS),
        (in_value(encode_outcome, decode_outcome), cases.OUTCOMES),
        (in_value(encode_replay_record, decode_replay_record), cases.REPLAYS),
        (in_value(encode_health, decode_health), own_cases.HEALTH),
        (in_value(encode_operation, decode_operation), cases.OPERATIONS),
        (in_value(encode_expired, decode_expired), own_cases.EXPIRED),
        (in_table("sources"), {"table_source": cases.RECORDS["table_source"]}),
        (in_table("keys"), own_cases.KEYS),
        (in_table("topics"), {"table_topic": cases.RECORDS["table_topic"]}),
        (in_table("subscriptions"), {"table_subscription": cases.RECORDS["table_subscription"]}),
    )
    for name, item in items.items()
}


def to_text(wire: Wire) -> str:
    """A golden file: readable where the bytes are UTF-8, base64 where they are not."""
    lines = [json.dumps([name, *_shown(value)], ensure_ascii=False) for name, value in wire[0]]
    headers = "".join(f"\n  {line}," for line in lines).rstrip(",")
    return f'{{"headers": [{headers}],\n "value": {json.dumps(_shown(wire[1]), ensure_ascii=False)}}}\n'


def from_text(text: str) -> Wire:
    """The bytes in a golden file."""
    document = json.loads(text)
    return [(name, _meant(shown)) for name, *shown in document["headers"]], _meant(document["value"])


def _shown(raw: bytes) -> list[str]:
    try:
        return [raw.decode()]
    except UnicodeDecodeError:
        return ["base64", base64.b64encode(raw).decode()]


def _meant(shown: Sequence[str]) -> bytes:
    return base64.b64decode(shown[1]) if len(shown) > 1 else shown[0].encode()


def files_of(name: str) -> list[Path]:
    """The golden files of a case, oldest first."""
    return sorted(FOLDER.glob(f"{name}.json")) + sorted(FOLDER.glob(f"{name}.[0-9].json"))
