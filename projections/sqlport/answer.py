"""Runs a question in a reader's thread, and what the answer says of itself."""

import time
from dataclasses import dataclass

import orjson

from projections.query.readonly import readable
from projections.sqlport.formats import CONTENT_TYPES, known_format
from projections.sqlport.hello import NAME
from projections.sqlport.packed import packed
from projections.sqlport.question import Question
from runtime.clickhouse import Client, counted_rows


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: its headers, and its body."""

    headers: dict[str, str]
    body: bytes


def answer(client: Client, question: Question) -> Answer:
    """The rows of a question; blocks, in a thread with a client of its own.

    Raises:
        NotReadOnlyError: it does more than read.
        RefusedError: its format is not written here.
        ClickHouseError: the engine refuses it, or a limit was reached.
    """
    began_ns = time.perf_counter_ns()
    query = readable(client, question.query, question.values)
    form = known_format(query.format or question.default_format)
    rows = counted_rows(client, query.text, query.values, form)
    summary = {
        "read_rows": rows.read,
        "result_rows": rows.given,  # Java's client takes 0 or nothing for an empty answer
        "result_bytes": len(rows.body),
        "elapsed_ns": time.perf_counter_ns() - began_ns,
    }
    headers = {
        "X-ClickHouse-Format": form,
        "X-ClickHouse-Timezone": str(client.server_tz),
        "X-ClickHouse-Summary": orjson.dumps({name: str(figure) for name, figure in summary.items()}).decode(),
        "Content-Type": CONTENT_TYPES[form],
    }
    body, how = packed(rows.body, question.packing)
    return Answer(headers | how, body)


def always(query_id: str) -> dict[str, str]:
    """Headers of every answer to a question, also of a refusal."""
    return {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Server-Display-Name": NAME}
