"""`POST /api/v1/subscriptions/try`: what a subscription would have delivered, without sending or storing anything."""

import time
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from projections.query.current_subscription import CurrentSubscription, read_subscription
from projections.query.examples_try import TRIED
from projections.query.logs import Clock, json_of
from projections.query.openapi import answered, problem
from projections.query.readers import Readers
from projections.query.shown import Document
from projections.query.span import Span, span_of
from projections.query.try_events import Choice, choose, of_event, of_topics, read_choice
from projections.query.try_report import Report
from projections.query.try_request import TryRequest, checked_subscription, header_changes
from rules.addresses import AddressPolicy
from rules.shadow import Outcome, outcome_of
from rules.view import EventView
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.config import SubscriptionSpec
from schemas.event import Event
from schemas.headers import rfc3339
from schemas.ids import RECORD_ID

MAX_S = 20.0
"""As long as any question may take; whoever waits behind it has a limit, too."""

PAYLOAD_EXPIRED = "payload_expired"


def try_routes(readers: Readers, egress: AddressPolicy, now_ms: Clock) -> APIRouter:
    """The route.

    Args:
        readers: apart from those of lists, because it takes seconds.
        egress: where deliveries may go.
        now_ms: the clock, epoch milliseconds.
    """
    router = APIRouter(prefix="/api/v1/subscriptions", tags=["subscriptions"])
    docs = answered(TRIED)
    docs["responses"] |= {
        400: problem("The body is no text that could be JSON."),
        404: problem("There is no such event."),
        409: problem("Another release wrote the subscription of today."),
    }

    @router.post("/try", **docs)
    async def try_subscription(request: TryRequest) -> Response:
        """What a new or changed subscription would have delivered, and skipped and why, against that of today.

        Both versions judge the same stored events by the rules that dispatch and deliver have, also those that came
        before the subscription. Nothing is sent or stored. `one_in` above 1 says that a part of the events was
        looked at, chosen by a hash of their ids; all counts are then of that part.
        """
        span = span_of(request.since, request.until, now_ms(), place="body")
        trial = Trial(request, span, egress, time.monotonic() + MAX_S)
        return json_of(await readers.run(trial.run))

    return router


@dataclass(frozen=True, slots=True)
class Trial:
    """One question.

    Attributes:
        until_s: of the monotonic clock; what takes longer is given up.
    """

    request: TryRequest
    span: Span
    egress: AddressPolicy
    until_s: float

    def run(self, client: Client) -> Document:
        """The answer.

        Raises:
            ProblemError: 404, there is no such event; 409, the subscription of today cannot be read; 422, the tried
                one is wrong; 504, it took too long.
        """
        document = self.request.document()
        name = document["id"]
        current = read_subscription(client, name) if isinstance(name, str) and RECORD_ID.fullmatch(name) else None
        spec = checked_subscription(document, current, self.egress)
        choice = self._choice(client, spec, current)
        report = Report(self.request.examples, compares=current is not None)
        expired = self._judge(client, choice, (spec, current.spec if current else None), report)
        return {
            "subscription_id": spec.id,
            "today_version": current.version if current else None,
            **self._range(),
            "events": choice.total,
            "one_in": choice.one_in,
            "looked_at": len(choice.keys),
            PAYLOAD_EXPIRED: expired,
            **report.shown(),
            "headers": header_changes(spec, document, current) if current else None,
        }

    def _range(self) -> Document:
        if self.request.event_id:
            return {"since": None, "until": None}
        until_ms = self.span.until_ms
        return {"since": rfc3339(self.span.since_ms), "until": None if until_ms is None else rfc3339(until_ms)}

    def _choice(self, client: Client, spec: SubscriptionSpec, current: CurrentSubscription | None) -> Choice:
        if not self.request.event_id:
            topics = {spec.topic_id} | ({current.spec.topic_id} if current else set())
            return choose(client, of_topics(topics, self.span))
        choice = choose(client, of_event(self.request.event_id))
        if not choice.keys:
            raise ProblemError(404, detail=f"there is no event {self.request.event_id}")
        return choice

    def _judge(
        self,
        client: Client,
        choice: Choice,
        specs: tuple[SubscriptionSpec, SubscriptionSpec | None],
        report: Report,
    ) -> int:
        """Reports on every event; how many could not be judged, because their payload is not kept any more."""
        expired = 0
        for key, event in read_choice(client, choice):
            if time.monotonic() > self.until_s:
                raise ProblemError(504, "query_timeout", f"it took more than {MAX_S:g} s: ask for a shorter time")
            if event is None:
                expired += 1
                continue
            tried, today = _outcomes(event, specs, choice.reasons.get(key.event_id, ""))
            report.add(event, tried, today)
        return expired


def _outcomes(
    event: Event, specs: tuple[SubscriptionSpec, SubscriptionSpec | None], reason: str
) -> tuple[Outcome, Outcome | None]:
    tried, today = specs
    view = EventView(event)

    def of(spec: SubscriptionSpec) -> Outcome:
        return outcome_of(spec, event, view, reason)

    return of(tried), of(today) if today else None
