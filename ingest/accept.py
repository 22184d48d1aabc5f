"""The way of a request to an event: find its source, read it, verify it, name it, store it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from msgspec.structs import replace

from ingest.contents import told_of
from ingest.directory import Destination, Directory
from ingest.doorkeeper import Doorkeeper
from ingest.event_making import Common, make_event
from ingest.event_schemas import EventSchemas
from ingest.received import Received
from ingest.recent import RecentIds
from ingest.reception import MAX_CONTENT_TYPE_CHARS, Reception
from ingest.source_limits import SourceLimits, require_allowed
from ingest.source_rules import SourceRules
from ingest.waiting import WaitingEvents
from rules.told import Item
from rules.verify import Answer, SignedRequest, VerificationError
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from runtime.problem import ProblemError
from schemas.event import Event, encode_event
from schemas.streams import EVENTS

_Proved = TypeVar("_Proved")

ACK_DEADLINE_S = 10.0
"""GitHub and Slack give up after 10 s and 3 s; an ack takes 2 ms, or Kafka is away."""

RETRY_AFTER_S = 5
"""A broker that was killed is back in about that time."""


class AnswerInsteadError(Exception):
    """Answer 200 with this: the request proves its sender, and is no event but a question.

    Args:
        answer: a JSON document.
    """

    def __init__(self, answer: bytes) -> None:
        super().__init__("the sender asks for an answer")
        self.answer = answer


class Acceptor:
    """Makes events of requests.

    Args:
        directory: finds topics.
        schemas: hold bodies against what their topic says.
        appender: stores events.
        max_body_bytes: for sources that set no lower limit.
        doorkeeper: turns away who keeps failing.
        waiting: counts the events that wait for their ack.

    Attributes:
        recent: what was accepted lately.
    """

    def __init__(
        self,
        directory: Directory,
        schemas: EventSchemas,
        appender: Appender,
        max_body_bytes: int,
        *,
        doorkeeper: Doorkeeper,
        waiting: WaitingEvents,
    ) -> None:
        self._directory = directory
        self._schemas = schemas
        self._appender = appender
        self._max_body_bytes = max_body_bytes
        self.recent = RecentIds()
        self._limits = SourceLimits()
        self._doorkeeper = doorkeeper
        self._waiting = waiting

    async def receive(self, reception: Reception) -> Received:
        """What the request brings, from whom and for which topic: read, verified, and not stored.

        Raises:
            ProblemError: it is no event; the request may be repeated when the status is 503.
            AnswerInsteadError: it is no event, and is to be answered.
            SenderGoneError: the sender hung up.
        """
        with self._watched(reception):
            return await self._receive(reception)

    async def _receive(self, reception: Reception) -> Received:
        destination = await self._find(reception)
        _require_readable(reception)
        max_bytes = destination.source.spec.max_body_bytes or self._max_body_bytes
        body = await reception.body.read(min(self._max_body_bytes, max_bytes))
        try:
            _verify(destination.source, reception, body)
        except VerificationError:
            destination, _ = await self._held_to_newest(reception, lambda source: _verify(source, reception, body))
        if destination.source.secrets:  # who needs none has proved nothing
            self._doorkeeper.note_proof(reception.source_ip)
        _answer_questions(destination.source, reception, body)
        return Received(destination, body)

    def charge(self, reception: Reception, received: Received, count: int) -> None:
        """Counts verified events against the limit of their source.

        Raises:
            ProblemError: 429, it has sent too many.
        """
        reception.quota = self._limits.charge(received.destination.source.spec, count)

    async def accept(self, reception: Reception, received: Received) -> tuple[Event, bool]:
        """The event, stored: Kafka has confirmed it; and whether it is known to repeat another.

        Raises:
            ProblemError: it is none, or not stored; the request may be repeated when the status is 503.
        """
        try:
            event, key = self._event(reception, received)
        except ProblemError:
            # The schema may have been changed a moment ago: refuse only by the newest.
            newest = await self.newest(reception, received)
            if newest is None:
                raise
            event, key = self._event(reception, newest)
        await self._store(event, key)
        return event, self.recent.repeats(event, key)

    async def handshake(self, reception: Reception) -> Answer | None:
        """What the sender's GET is answered; `None` when its provider asks nothing so.

        Raises:
            ProblemError: it proves nobody, or there is no such topic.
        """
        with self._watched(reception):
            return await self._handshake(reception)

    async def _handshake(self, reception: Reception) -> Answer | None:
        destination = await self._find(reception)
        _, answer = await self._held_to(destination, reception, lambda source: _handshake(source, reception))
        return answer

    async def find(self, reception: Reception) -> Destination:
        """Where a request goes; the reception knows from then on whose rules apply.

        Raises:
            ProblemError: 403 its address may not send there; 404 or 409 there is no such topic; 429 it kept failing;
                503 nobody can tell now.
        """
        with self._watched(reception):
            return await self._find(reception)

    async def _find(self, reception: Reception) -> Destination:
        if reception.wanted_source:
            await self._choose_topic(reception)
        return await self._allowed(reception, await self._directory.find(reception.topic_id))

    def _watched(self, reception: Reception) -> AbstractContextManager[None]:
        return nullcontext() if reception.is_trial else self._doorkeeper.watch(reception.source_ip)

    async def _choose_topic(self, reception: Reception) -> None:
        source = await self._directory.find_source(reception.wanted_source)
        reception.at_source(source)
        reception.topic_id = await self._directory.default_topic(source.spec.id)

    async def _allowed(self, reception: Reception, destination: Destination) -> Destination:
        reception.at_source(destination.source)
        if reception.is_trial:
            return destination
        try:
            require_allowed(destination.source.spec, reception.source_ip)
        except ProblemError:
            # As with secrets: the list may have been changed a moment ago.
            destination = await self._directory.find_again(reception.topic_id)
            reception.at_source(destination.source)
            require_allowed(destination.source.spec, reception.source_ip)
        return destination

    async def _held_to(
        self, destination: Destination, reception: Reception, proof: Callable[[SourceRules], _Proved]
    ) -> tuple[Destination, _Proved]:
        try:
            return destination, proof(destination.source)
        except VerificationError:
            return await self._held_to_newest(reception, proof)

    async def _held_to_newest(
        self, reception: Reception, proof: Callable[[SourceRules], _Proved]
    ) -> tuple[Destination, _Proved]:
        # The secret may have been changed a moment ago: refuse only by the newest.
        destination = await self._directory.find_again(reception.topic_id)
        reception.at_source(destination.source)  # also the header with the secret may be another
        try:
            return destination, proof(destination.source)
        except VerificationError as error:
            raise ProblemError(403, error.code, error.detail) from error

    async def newest(self, reception: Reception, received: Received) -> Received | None:
        """The same request by what its topic and source say now; `None` when the topic is as it was.

        Raises:
            ProblemError: it is none by that.
        """
        newest = await self._directory.find_again(reception.topic_id)
        if newest.topic is received.destination.topic:
            return None
        body = received.body
        newest, _ = await self._held_to(newest, reception, lambda source: _verify(source, reception, body))
        return Received(newest, body)

    def event_of(
        self, reception: Reception, received: Received, item: Item, common: Common, among: str = ""
    ) -> tuple[Event, str]:
        """The event that an item is, and the key of its record; marked when it is not as its schema says.

        Raises:
            ProblemError: 422, its topic wants that refused.
        """
        event, key = make_event(reception, received, item, common, among)
        fault = self._schemas.mark_of(received.destination.topic, event.event_type, item.body)
        return (replace(event, schema_fault=fault) if fault else event), key

    def _event(self, reception: Reception, received: Received) -> tuple[Event, str]:
        item = Item(received.body, told_of(reception, received.destination.source.verifier, received.body))
        return self.event_of(reception, received, item, Common.of(reception, reception.content_type))

    async def _store(self, event: Event, key: str) -> None:
        self._waiting.enter()
        try:
            await self._appender.append(
                EVENTS, event.body, key=key.encode(), headers=encode_event(event), timeout_s=ACK_DEADLINE_S
            )
        except RecordTooLargeError as error:
            raise ProblemError(413, detail="the body and its headers are too large for one record") from error
        except NotStoredError as error:
            # Not a 202, although it may be stored: the sender's next try has the same dedup id.
            raise ProblemError(
                503,
                "not_stored",
                "Kafka has not confirmed the event; send it again",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            ) from error
        finally:
            self._waiting.leave()


def _verify(source: SourceRules, reception: Reception, body: bytes) -> None:
    source.verifier.verify(_signed_request(source, reception, body))


def _handshake(source: SourceRules, reception: Reception) -> Answer | None:
    return source.verifier.handshake(_signed_request(source, reception, b""))


def _answer_questions(source: SourceRules, reception: Reception, body: bytes) -> None:
    if source.asks_questions:
        answer = source.verifier.answer(_signed_request(source, reception, body))
        if answer is not None:
            raise AnswerInsteadError(answer)


def _signed_request(source: SourceRules, reception: Reception, body: bytes) -> SignedRequest:
    return SignedRequest(
        headers=reception.headers,
        body=body,
        secrets=source.secrets,
        auth_config=source.spec.auth_config,
        now_s=time.time(),
        path=reception.path,
        query=reception.query,
    )


def _require_readable(reception: Reception) -> None:
    encoding = b",".join(reception.headers.all("content-encoding")).decode("latin-1").strip().lower()
    if encoding not in {"", "identity"}:
        # Signatures are of the bytes as sent, so unpacking would only feed bombs (RFC 9110, section 15.5.16).
        detail = f"Content-Encoding {encoding[:64]} is not taken: send it plain"
        raise ProblemError(415, "content_encoding", detail, headers={"Accept-Encoding": "identity"})
    if len(reception.content_type) > MAX_CONTENT_TYPE_CHARS:
        raise ProblemError(415, detail=f"Content-Type has more than {MAX_CONTENT_TYPE_CHARS} characters")
