"""`/api/v1/replays`: deliveries made again in bulk."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from projections.query.cursor import moment_key, text_key
from projections.query.examples import REPLAY, REPLAY_COUNT
from projections.query.filters import Condition
from projections.query.listing import Listing, read_page, start_of
from projections.query.logs import Clock, Id, json_of, page_document
from projections.query.openapi import answered, found, listed, problem
from projections.query.parameters import ListQuestion
from projections.query.readers import Readers
from projections.query.replay_request import ReplayRequest
from projections.query.replays import Replayer, shown_replay
from runtime.authorizer import actor_of

MAX_KEY_CHARS = 255
"""Of an idempotency key, as Stripe's."""

REPLAYS = Listing("replays", (moment_key("created_at"), text_key("replay_id")))


class ReplaysQuestion(ListQuestion):
    """Replays."""

    state: Literal["PENDING", "RUNNING", "DONE", "CANCELLED"] | None = None


def replay_routes(readers: Readers, replayer: Replayer, now_ms: Clock) -> APIRouter:
    """Asking for replays, looking at them, ending them."""
    router = APIRouter(prefix="/api/v1/replays", tags=["replays"])
    _add_commands(router, replayer)

    @router.get("", **listed(REPLAY))
    async def list_replays(question: Annotated[ReplaysQuestion, Query()]) -> Response:
        """Replays by the time at which they were asked for, and how far each is."""
        start = start_of("replays", question, REPLAYS.key, now_ms())
        chosen = [Condition("state = {state:String}", {"state": question.state})] if question.state else []
        page = await readers.run(lambda client: read_page(client, REPLAYS, question, start, chosen))
        return json_of(page_document(page, [shown_replay(row) for row in page.rows]))

    @router.get("/{replay_id}", **found(REPLAY))
    async def replay(replay_id: Id) -> Response:
        """A replay and how far it is: `total` = `sent` + all `skipped` once it is DONE."""
        return json_of(await replayer.one(replay_id))

    return router


def _add_commands(router: APIRouter, replayer: Replayer) -> None:
    asked: dict[str, Any] = answered(REPLAY, 202, "Kafka has the replay, and every event of it is chosen.")
    asked["responses"][200] = {
        "description": "With `dry_run`: what would be sent.",
        "content": {"application/json": {"example": REPLAY_COUNT}},
    }
    asked["responses"][400] = problem("The body is no text that could be JSON.")

    @router.post("", status_code=202, **asked)
    async def make_replay(
        request: ReplayRequest,
        call: Request,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MAX_KEY_CHARS)] = None,
    ) -> Response:
        """Delivers events again, at a pace: those that failed, those that a subscription missed, or all.

        A subscription gets what it would get if the event came now, with the bytes that came: from Kafka while that
        keeps them, else from the tables. Receivers see the event's own `webhook-id`. With `dry_run` nothing is sent
        or stored. With an `Idempotency-Key`, asking again within a day gives the same replay; asking for something
        else with it is refused (422 `idempotency_key_reused`).
        """
        if request.dry_run:
            return json_of(await replayer.count(request))
        return json_of(await replayer.make(request, actor_of(call), idempotency_key), 202)

    cancelled = answered(REPLAY, 202, "Kafka has the wish; `state` is CANCELLED as soon as a worker has read it.")
    cancelled["responses"] |= {404: problem("There is no such replay."), 409: problem("It has ended.")}

    @router.post("/{replay_id}/cancel", status_code=202, **cancelled)
    async def cancel_replay(replay_id: Id, call: Request) -> Response:
        """Ends a replay: what it has not sent yet is not sent."""
        return json_of(await replayer.cancel(replay_id, actor_of(call)), 202)
