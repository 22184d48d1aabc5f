"""The way of a request to an event: find its source, read it, verify it, name it, store it."""

import time

from ingest.directory import Destination, Directory
from ingest.recent import RecentIds
from ingest.reception import MAX_CONTENT_TYPE_CHARS, Reception
from ingest.trace import traceparent_of
from rules.identify import identify
from rules.verify import SignedRequest, VerificationError, Verifier, verifier_of, verify
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from runtime.problem import ProblemError
from schemas.config import SourceSpec
from schemas.event import Event, encode_event
from schemas.ids import new_id
from schemas.streams import EVENTS

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
        appender: stores events.
        max_body_bytes: for sources that set no lower limit.
    """

    def __init__(self, directory: Directory, appender: Appender, max_body_bytes: int) -> None:
        self._directory = directory
        self._appender = appender
        self._max_body_bytes = max_body_bytes
        self._recent = RecentIds()

    async def accept(self, reception: Reception) -> tuple[Event, bool]:
        """The event, stored: Kafka has confirmed it; and whether it is known to repeat another.

        Raises:
            ProblemError: it is no event; the request may be repeated when the status is 503.
            AnswerInsteadError: it is no event, and is to be answered.
            SenderGoneError: the sender hung up.
        """
        if reception.wanted_source:
            await self._choose_topic(reception)
        destination = await self._directory.find(reception.topic_id)
        source = destination.source.spec
        _note_source(reception, source)
        _require_readable(reception)
        body = await reception.body.read(min(self._max_body_bytes, source.max_body_bytes or self._max_body_bytes))
        destination = await self._verified(reception, destination, body)
        _answer_questions(destination.source.spec, reception, body)
        event, key = _event(reception, destination, body)
        await self._store(event, key)
        return event, self._recent.repeats(event, key)

    async def _choose_topic(self, reception: Reception) -> None:
        source = await self._directory.find_source(reception.wanted_source)
        _note_source(reception, source)
        reception.topic_id = await self._directory.default_topic(source.id)

    async def _verified(self, reception: Reception, destination: Destination, body: bytes) -> Destination:
        try:
            _verify(destination.source.spec, reception, body)
        except VerificationError:
            # The secret may have been changed a moment ago: refuse only by the newest.
            destination = await self._directory.find_again(reception.topic_id)
            _note_source(reception, destination.source.spec)  # also the header with the secret may be another
            try:
                _verify(destination.source.spec, reception, body)
            except VerificationError as error:
                raise ProblemError(403, error.code, error.detail) from error
        return destination

    async def _store(self, event: Event, key: str) -> None:
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


def _verifier(source: SourceSpec) -> Verifier:
    verifier = verifier_of(source.auth_type)
    if verifier is None:  # a newer release knows it; this one must not let anybody in
        raise ProblemError(403, "auth_type_unknown", "the source names a verification that does not exist here")
    return verifier


def _note_source(reception: Reception, source: SourceSpec) -> None:
    reception.at_source(source, _verifier(source).credential_headers(source.auth_config))


def _verify(source: SourceSpec, reception: Reception, body: bytes) -> None:
    verify(source.auth_type, _signed_request(source, reception, body))


def _answer_questions(source: SourceSpec, reception: Reception, body: bytes) -> None:
    verifier = _verifier(source)
    if type(verifier).answer is Verifier.answer:
        return  # most providers ask nothing
    answer = verifier.answer(_signed_request(source, reception, body))
    if answer is not None:
        raise AnswerInsteadError(answer)


def _signed_request(source: SourceSpec, reception: Reception, body: bytes) -> SignedRequest:
    return SignedRequest(
        headers=reception.headers,
        body=body,
        secrets=source.all_secrets,
        auth_config=source.auth_config,
        now_s=time.time(),
        path=reception.path,
        query=reception.query,
    )


def _require_readable(reception: Reception) -> None:
    encoding = reception.headers.text("content-encoding").lower()
    if encoding not in {"", "identity"}:
        raise ProblemError(415, "content_encoding", f"Content-Encoding {encoding[:64]} is not taken: send it plain")
    if len(reception.content_type) > MAX_CONTENT_TYPE_CHARS:
        raise ProblemError(415, detail=f"Content-Type has more than {MAX_CONTENT_TYPE_CHARS} characters")


def _event(reception: Reception, destination: Destination, body: bytes) -> tuple[Event, str]:
    verifier = _verifier(destination.source.spec)
    identity = identify(
        destination.topic,
        reception.headers,
        body,
        event_type=verifier.event_type,
        dedup_id=verifier.dedup_id,
    )
    event = Event(
        event_id=new_id(),
        topic_id=destination.topic.id,
        source_id=destination.source.spec.id,
        event_type=identity.event_type,
        received_ms=time.time_ns() // 1_000_000,
        body=body,
        content_type=reception.content_type,
        source_ip=reception.source_ip,
        dedup_id=identity.dedup_id,
        traceparent=traceparent_of(reception.headers),
        request_headers=reception.kept_headers(),
    )
    return event, identity.partition_key(event.event_id)
