"""Any bytes in, with any content type: the same bytes out at the receiver, through the whole gateway."""

import asyncio
from collections.abc import Sequence

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.oracle.http import Connection
from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sink import Entry
from tests.oracle.stack import Stack, until
from tests.oracle.team import Team

DEADLINE_S = 60.0
PATH = "/ok/any-bytes"
VISIBLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)

Content = tuple[bytes, str]
"""A body and its content type; empty is none."""

contents = st.tuples(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=50).map(lambda text: text.encode("utf-16")),
        st.sampled_from([b"", b"\x00", b"\xff" * 10, b"\r\n\r\n", b"0\r\n\r\n", b'{"a":1}', b'{"a": 1.0}\n', b"null"]),
        st.integers(65_530, 65_550).map(bytes),  # where a body begins to travel by reference
    ),
    st.one_of(
        st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-16"]),
        st.text(VISIBLE, max_size=100).map(str.strip),
    ),
)


async def post_all(port: int, topic_id: str, some: Sequence[Content]) -> dict[str, Content]:
    """What was sent, by the id of its event."""
    sent = {}
    async with Connection(port) as connection:
        for body, content_type in some:
            headers = {"Content-Type": content_type} if content_type else {}
            answer = await connection.request("POST", f"/api/v1/ingest/{topic_id}", body, headers)
            assert answer.status == 202, (answer.body, content_type)
            sent[answer.json()["event_id"]] = (body, content_type)
    return sent


async def arrivals(receiver: Receiver, ids: set[str]) -> dict[str, Entry]:
    """The deliveries of events, when all of them are there."""

    async def all_there() -> dict[str, Entry]:
        found = {entry.webhook_id: entry for entry in await receiver.at(PATH)}
        return found if ids <= found.keys() else {}

    found: dict[str, Entry] = await until("every delivery", all_there, DEADLINE_S, 0.2)
    return found


def test_the_bytes_that_came_in_go_out(stack: Stack, team: Team, receiver: Receiver) -> None:
    topic_id = asyncio.run(team.topic(auth_type="none"))
    asyncio.run(team.subscribe(topic_id, receiver.url(PATH), max_in_flight=50))

    @settings(max_examples=5, phases=[Phase.generate])  # each takes a second: nothing is made smaller
    @given(some=st.lists(contents, min_size=40, max_size=60))
    def check(some: list[Content]) -> None:
        sent = asyncio.run(post_all(stack.ports["ingest"], topic_id, some))
        found = asyncio.run(arrivals(receiver, set(sent)))
        for event_id, (body, content_type) in sent.items():
            assert body_of(found[event_id]) == body
            assert dict(found[event_id].headers)["content-type"] == (content_type or "application/octet-stream")

    check()
    largest = bytes(range(256)) * 4_096, "application/octet-stream"
    (event_id,) = asyncio.run(post_all(stack.ports["ingest"], topic_id, [largest]))
    assert body_of(asyncio.run(arrivals(receiver, {event_id}))[event_id]) == largest[0]
