"""Ends subscriptions whose endpoint is gone: it said so with 410, or nothing was heard of it but failures for days.

The change is an intake record like any other, made for the version that was tried: whoever changed the subscription
meanwhile knows better. The config agent decides; what waits for the subscription is cancelled when its time comes.
"""

import asyncio

import orjson
import structlog

from runtime.actor import AUTOMATIC, HEADER, change_of, sealed_actor
from runtime.kafka import Appender, Outgoing
from runtime.keyring import Keyring
from runtime.tables import ConfigTables
from schemas.config import SubscriptionSpec
from schemas.stored import Record, sealed_document
from schemas.streams import INTAKE

log = structlog.get_logger(__name__)

REASON = "the endpoint answered 410 Gone"

MAX_REMEMBERED = 10_000
"""Subscriptions with a record on its way or stored; a forgotten one may get a second record, which is refused."""


class GoneSubscriptions:
    """Makes subscriptions inactive, with one record for each version, however many answers say so at once.

    Args:
        tables: the subscriptions as they are now.
        keyring: seals their secrets.
        appender: stores.
    """

    def __init__(self, tables: ConfigTables, keyring: Keyring, appender: Appender) -> None:
        self._tables = tables
        self._keyring = keyring
        self._appender = appender
        self._ends: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def end(self, subscription: Record[SubscriptionSpec], reason: str = REASON) -> None:
        """Returns when the record that ends this version is stored, or when the version is no longer the current one.

        Args:
            subscription: as it was when the request was made.
            reason: for people.
        """
        key = (subscription.spec.id, subscription.version)
        ending = self._ends.get(key)
        if ending is None:
            current = self._tables.subscription(subscription.spec.id)
            if current is None or current.version != subscription.version:
                return
            ending = self._ends[key] = asyncio.create_task(self._append(subscription, reason))
            self._forget()
        await asyncio.shield(ending)  # others wait for it too

    async def _append(self, subscription: Record[SubscriptionSpec], reason: str) -> None:
        spec = subscription.spec.model_copy(update={"is_active": False})
        value = orjson.dumps(sealed_document(spec, self._keyring.seal))
        change = change_of(spec.kind, spec.id.encode(), value, str(subscription.version))
        headers = [
            (HEADER, sealed_actor(self._keyring, AUTOMATIC, change)),
            ("hl-if-version", b"%d" % subscription.version),
            ("hl-reason", reason.encode()),
        ]
        stored = await self._appender.append_surely(Outgoing(INTAKE[spec.kind], value, spec.id.encode(), headers))
        log.info(
            "subscription_gone",
            subscription=spec.id,
            version=subscription.version,
            reason=reason,
            intake_offset=stored.offset,
        )

    def _forget(self) -> None:
        for key in list(self._ends):
            if len(self._ends) <= MAX_REMEMBERED:
                return
            if self._ends[key].done():
                del self._ends[key]
