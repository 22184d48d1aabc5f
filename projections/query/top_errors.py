"""What goes wrong most: attempts without success, by what went wrong."""

from projections.query.filters import Condition, conditions_of
from projections.query.outcome_questions import ErrorsQuestion
from projections.query.shown import Document, shown_row
from projections.query.span import Span
from runtime.clickhouse import Client

MAX_EXAMPLE_CHARS = 500
"""Of an answer that is shown as an example: enough for its error message."""

_WHAT = ("reason", "response_status_code", "error", "kind")
_PER = {"all": (), "subscription": ("subscription_id",), "topic": ("topic_id",)}


def read_errors(client: Client, question: ErrorsQuestion, span: Span) -> Document:
    """The groups, most attempts first; `more` says that there are others beyond the limit.

    `count` is attempts, and ends without a request (`kind` is `outcome`: cancelled, expired); `deliveries` how many
    deliveries they are of, each counted once. The example is the newest.
    """
    groups = ", ".join((*_WHAT, *_PER[question.per]))
    wanted = [Condition(span.condition("started_at"), dict(span.parameters())), *conditions_of(question)]
    wanted.append(Condition("kind != 'parked' AND status != 'SUCCESS'", {}))
    found = client.query(
        f"SELECT {groups}, count() AS count, uniqExact(delivery_id) AS deliveries,"  # noqa: S608 - names are ours
        " min(started_at) AS first_at, max(started_at) AS last_at, argMax((event_id, delivery_id, target_url,"
        " leftUTF8(response_body, {chars:UInt32})), (started_at, _partition, _offset)) AS example"
        f" FROM attempts FINAL WHERE {' AND '.join(item.sql for item in wanted)}"
        f" GROUP BY {groups} ORDER BY count DESC, last_at DESC, {groups} LIMIT {{rows:UInt32}}",
        parameters={name: value for item in wanted for name, value in item.parameters.items()}
        | {"rows": question.limit + 1, "chars": MAX_EXAMPLE_CHARS},
    )
    rows = [_shown(row) for row in found.named_results()]
    return {"data": rows[: question.limit], "more": len(rows) > question.limit}


def _shown(row: Document) -> Document:
    names = ("event_id", "delivery_id", "target_url", "response_body")
    example = row["example"]
    parts = example.values() if isinstance(example, dict) else example
    return shown_row(row) | {"example": dict(zip(names, parts, strict=True))}
