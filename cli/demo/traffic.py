"""What the senders send: GitHub's and Stripe's events, signed as they sign, and some that are not."""

import asyncio
import copy
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from cli.demo.api import Api
from cli.demo.books import Books, Post
from cli.demo.cast import Cast, Sender
from cli.traffic.posting import post
from rules.verify import signed_headers

EVENTS = 60
FORGED_EACH = 9
"""Every ninth is signed with a wrong secret: an odd number, so that it is each sender's turn."""

PER_SECOND = 20.0
"""Slow enough to be watched, and for a laptop that has just started everything."""

CONTENT_TYPE = "application/json"
WRONG_SECRET = "whsec_somebody-elses"  # noqa: S105 - it is wrong on purpose


@dataclass(frozen=True, slots=True)
class Planned:
    """One event that is to be sent."""

    sender: Sender
    event_type: str
    body: bytes
    forged: bool


def planned(cast: Cast, count: int = EVENTS) -> Iterator[Planned]:
    """Return events in the order in which they are sent: the senders in turn, three of four of the first kind."""
    payloads = json.loads(files("cli.demo").joinpath("payloads.json").read_text())
    for number in range(count):
        sender = cast.senders[number % len(cast.senders)]
        kinds = payloads[sender.auth_type]
        chosen = kinds[number // len(cast.senders) % 4 == 3]  # noqa: PLR2004 - see above
        body = json.dumps(_of_its_own(sender, chosen["body"], number)).encode()
        yield Planned(sender, chosen["event_type"], body, forged=number % FORGED_EACH == FORGED_EACH - 1)


def _of_its_own(sender: Sender, template: dict[str, Any], number: int) -> dict[str, Any]:
    """An event with the ids that its provider would have given it; no two are alike."""
    body = copy.deepcopy(template)
    if sender.auth_type == "stripe":
        body["id"] = f"evt_{uuid.uuid4().hex[:24]}"
        body["created"] = int(time.time())
        body["data"]["object"]["description"] = f"Order {1_000 + number}"
    elif "commits" in body:
        commit = uuid.uuid4().hex + f"{number:08x}"
        body["after"] = body["head_commit"]["id"] = body["commits"][0]["id"] = commit
    else:
        body["issue"]["number"] = number
    return body


async def send_all(api: Api, books: Books, events: list[Planned]) -> None:
    """Post every event at a steady pace, and write down each answer."""
    start_s = time.monotonic()
    async with asyncio.TaskGroup() as posting:
        for number, event in enumerate(events):
            await asyncio.sleep(max(0.0, start_s + number / PER_SECOND - time.monotonic()))
            posting.create_task(_send(api, books, event))


async def _send(api: Api, books: Books, event: Planned) -> None:
    topic_id = books.cast.topic_id(event.sender)
    answer = await post(api.client, f"{api.place.ingest_url}/api/v1/ingest/{topic_id}", event.body, headers_of(event))
    books.posts.append(
        Post(
            topic_id=topic_id,
            event_type=event.event_type,
            sha256=sha256(event.body).hexdigest(),
            forged=event.forged,
            status=answer.status,
            code=answer.code,
            event_id="" if answer.code else str(answer.document.get("event_id", "")),
        )
    )


def headers_of(event: Planned) -> list[tuple[str, str]]:
    """Return the headers of a request as its provider sends it, signed now."""
    secret = WRONG_SECRET if event.forged else event.sender.secret
    headers = [("Content-Type", CONTENT_TYPE)]
    if event.sender.auth_type == "github":
        headers += [("X-GitHub-Event", event.event_type), ("X-GitHub-Delivery", str(uuid.uuid4()))]
    return headers + signed_headers(event.sender.auth_type, [secret], {}, event.body, time.time(), CONTENT_TYPE)
