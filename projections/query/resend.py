"""Delivers again, on purpose: a new delivery of the same event to the same target, appended to the stream.

A record with the old delivery's id would be taken for a repetition and dropped, so a resend has an id of its own, made
with the id of its replay. The receiver sees the event's id as before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from projections.query.lookups import PAYLOADS, read_delivery
from projections.query.readers import Readers
from projections.query.shown import Document, epoch_ms_of
from runtime.actor import HEADER
from runtime.clickhouse import Client
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from runtime.problem import ProblemError
from schemas.delivery import BodyRef, Delivery, encode_delivery
from schemas.ids import delivery_id, derived_id, new_id
from schemas.streams import DELIVERIES

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000

PAYLOAD_KEPT_MS = 90 * DAY_MS
"""As the table of events keeps them."""

REFERRED_MS = 22 * DAY_MS
"""The body of an older event travels with its delivery: the stream of events keeps it 30 days, and what waits for a
retry is kept eight."""

MAX_TARGETS = 256
"""Targets of one subscription that are looked through for a delivery's own."""

APPEND_S = 10.0
"""What whoever asked waits for Kafka; its own timeout is longer."""


@dataclass(frozen=True, slots=True)
class Original:
    """What a resend is made of."""

    row: Document
    event: Document
    target: int


class Resender:
    """Makes deliveries again.

    Args:
        readers: find the delivery and its event.
        appender: stores the new one.
        now_ms: the clock, epoch milliseconds.
    """

    def __init__(self, readers: Readers, appender: Appender, now_ms: Callable[[], int]) -> None:
        self._readers = readers
        self._appender = appender
        self._now_ms = now_ms

    async def resend(self, original_id: str, key: str | None, actor: str) -> Document:
        """Appends a new delivery, and gives it once the broker has it.

        With an idempotency key a repetition within the same or the next day (UTC) gives the delivery that the first
        call made. The replay's id is then a hash, and its time the end of the day of the first call: the age of the
        delivery counts from there, and at the day's beginning a short one would have been over before it was made.

        Raises:
            ProblemError: 404, there is no such delivery; 409, its subscription does not want it any more; 410, the
                payload is gone; 503, the event is not stored yet, or Kafka did not confirm.
        """
        now_ms = self._now_ms()
        row = await self._readers.run(lambda client: read_delivery(client, original_id))
        if row is None:
            raise ProblemError(404, detail=f"there is no delivery {original_id}")
        target = target_of(row)
        replays = replay_ids(original_id, key, now_ms)
        made = {_id_of(row, target, replay_id): replay_id for replay_id in replays}
        if key and (earlier := await self._readers.run(lambda client: _earliest(client, made))):
            return _answer(row, *earlier)
        event = await self._readers.run(lambda client: _checked_event(client, row, now_ms))
        new = _delivery(Original(row, event, target), replays[0], now_ms)
        await self._append(new, actor)
        log.info(
            "resent", delivery_id=new.delivery_id, retried=original_id, replay_id=new.replay_id, requested_by=actor
        )
        return _answer(row, new.delivery_id, new.replay_id, "PENDING")

    async def _append(self, new: Delivery, actor: str) -> None:
        try:
            # By its key, as dispatch does: the deliveries of a subscription share a partition.
            await self._appender.append(
                DELIVERIES,
                new.value,
                key=new.subscription_id.encode(),
                headers=[*encode_delivery(new), (HEADER, actor.encode())],
                timeout_s=APPEND_S,
            )
        except NotStoredError as error:
            detail = "Kafka did not confirm; ask again, with an Idempotency-Key to be sure that it is made once"
            raise ProblemError(503, detail=detail, headers={"Retry-After": "5"}) from error
        except RecordTooLargeError as error:
            raise ProblemError(413, detail=str(error)) from error


def replay_ids(original_id: str, key: str | None, now_ms: int) -> list[str]:
    """The ids that a replay may have, the one to use first; with a key also that of a call on the day before.

    They are ULIDs, because the age of a replay is read from its id.
    """
    if key is None:
        return [new_id()]
    today_ms = now_ms // DAY_MS * DAY_MS
    return [derived_id(end_ms - 1, "resend", original_id, key) for end_ms in (today_ms + DAY_MS, today_ms)]


def target_of(row: Document) -> int:
    """Which target of its subscription a delivery is for: the one that its id was made with.

    Raises:
        ProblemError: 409, it was made with none.
    """
    for target in range(MAX_TARGETS):
        if _id_of(row, target, row["replay_id"]) == row["delivery_id"]:
            return target
    raise ProblemError(409, "target_unknown", "the delivery's id was not made by Hooklog")


def _id_of(row: Document, target: int, replay_id: str) -> str:
    return delivery_id(row["event_id"], row["subscription_id"], row["generation"], target, replay_id)


def _earliest(client: Client, made: dict[str, str]) -> tuple[str, str, str] | None:
    found = client.query(
        "SELECT delivery_id, status FROM deliveries FINAL WHERE delivery_id IN {ids:Array(String)}"
        " ORDER BY replay_id LIMIT 1",
        parameters={"ids": list(made)},
    )
    return next(((new, made[new], status) for new, status in found.result_rows), None)


def _checked_event(client: Client, row: Document, now_ms: int) -> Document:
    config = _config(client, row["subscription_id"])
    check_subscription(row, config)
    return stored_event(client, row, now_ms) | {"headers_needed": _transforms(config)}


def _config(client: Client, subscription_id: str) -> Document | None:
    found = client.query(
        "SELECT action, generation, record FROM config_changes FINAL WHERE kind = 'subscriptions'"
        " AND id = {id:String} AND result = 'applied' AND action != 'nothing' ORDER BY _offset DESC LIMIT 1",
        parameters={"id": subscription_id},
    )
    return next(iter(found.named_results()), None)


def _transforms(config: Document | None) -> bool:
    return bool(config and orjson.loads(config["record"] or b"{}").get("transform"))


def check_subscription(row: Document, config: Document | None) -> None:
    """Whether the delivery's subscription still wants it, as far as its last change tells.

    Of a change that is not stored yet, or that was before all that is, the deliver agent knows: it cancels then.

    Raises:
        ProblemError: 409, it was deleted, made again, or is inactive.
    """
    if config is None:
        return
    name = row["subscription_id"]
    if config["action"] == "deleted":
        raise ProblemError(409, "subscription_deleted", f"the subscription {name} was deleted")
    if config["generation"] != row["generation"]:
        raise ProblemError(409, "subscription_recreated", f"the subscription {name} was deleted and made again")
    if not orjson.loads(config["record"] or b"{}").get("is_active", True):
        raise ProblemError(409, "subscription_inactive", f"the subscription {name} is inactive")


def stored_event(client: Client, row: Document, now_ms: int) -> Document:
    """The event of a delivery with its `payload` in bytes.

    Raises:
        ProblemError: 410, it is not kept any more; 503, it is not stored yet.
    """
    received_ms = epoch_ms_of(row["created_at"])
    found = client.query(
        "SELECT payload, payload_bytes, content_type, traceparent, headers, _partition, _offset FROM events FINAL"
        " WHERE topic_id = {topic:String} AND received_at = fromUnixTimestamp64Milli({received:Int64}, 'UTC')"
        " AND event_id = {id:String} LIMIT 1",
        parameters={"topic": row["topic_id"], "received": received_ms, "id": row["event_id"]},
        column_formats=PAYLOADS,
    )
    event: Document | None = next(iter(found.named_results()), None)
    if event is None and now_ms - received_ms < PAYLOAD_KEPT_MS:
        raise ProblemError(503, detail="the event is not stored yet", headers={"Retry-After": "1"})
    if event is None or len(event["payload"]) != event["payload_bytes"]:
        raise ProblemError(410, "payload_expired", "the payload is not kept any more")
    return event


def _delivery(original: Original, replay_id: str, now_ms: int) -> Delivery:
    row, event = original.row, original.event
    received_ms = epoch_ms_of(row["created_at"])
    recent = now_ms - received_ms < REFERRED_MS
    ref = BodyRef.of_large(event["payload"], event["_partition"], event["_offset"]) if recent else None
    return Delivery(
        delivery_id=_id_of(row, original.target, replay_id),
        event_id=row["event_id"],
        subscription_id=row["subscription_id"],
        topic_id=row["topic_id"],
        source_id=row["source_id"],
        event_type=row["event_type"],
        generation=row["generation"],
        config_version=row["config_version"],
        received_ms=received_ms,
        body=b"" if ref else event["payload"],
        body_ref=ref,
        content_type=event["content_type"],
        traceparent=event["traceparent"],
        target=original.target,
        replay_id=replay_id,
        request_headers=tuple(event["headers"].items()) if event["headers_needed"] else (),
    )


def _answer(row: Document, new_delivery_id: str, replay_id: str, status: str) -> dict[str, Any]:
    return {
        "delivery_id": new_delivery_id,
        "replay_id": replay_id,
        "retried": row["delivery_id"],
        "event_id": row["event_id"],
        "subscription_id": row["subscription_id"],
        "status": status,
    }
