"""What became of all that came within a time, from the request to the last attempt."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from projections.query.filters import Condition, conditions_of
from projections.query.outcome_questions import FunnelQuestion
from projections.query.shown import Document
from projections.query.span import Span
from runtime.clickhouse import Client
from schemas.headers import rfc3339


def read_funnel(client: Client, question: FunnelQuestion, span: Span) -> Document:
    """Counts of requests that came within the span, and of what they led to until now.

    `accepted` = `dispatched` + `waiting`; `dispatched` = `duplicates` + `unmatched` + those that were matched.
    `skipped` counts subscriptions by reason. `matched` + `replayed` = `delivered` + `failed` + `cancelled` + `pending`,
    once all of them are stored. `refused.unrecorded` is what the cap on records of refusals left out, so far as a
    later record tells; it is in `refused.total`.
    """
    tables = _Tables(client, span, conditions_of(question))
    (accepted,) = tables.read("events", "received_at", "count() AS n")
    (dispatched,) = tables.read(
        "dispatches",
        "received_at",
        "count() AS n, sum(matched) AS matches, countIf(duplicate) AS duplicates,"
        " countIf(NOT duplicate AND matched = 0) AS unmatched, sumMap(skipped) AS skips",
    )
    return {
        "since": rfc3339(span.since_ms),
        "until": None if span.until_ms is None else rfc3339(span.until_ms),
        "refused": _refused(tables),
        "accepted": accepted["n"],
        "waiting": max(0, accepted["n"] - dispatched["n"]),
        "dispatched": dispatched["n"],
        "duplicates": dispatched["duplicates"],
        "unmatched": dispatched["unmatched"],
        "skipped": dict(dispatched["skips"]),
        "matched": dispatched["matches"],
    } | _ends(tables)


def _refused(tables: "_Tables") -> Document:
    rows = tables.read("rejections", "received_at", "code, count() AS n, sum(unrecorded) AS missing", "code")
    codes = {row["code"]: row["n"] for row in rows}
    unrecorded = sum(row["missing"] for row in rows)
    return {"total": sum(codes.values()) + unrecorded, "codes": codes, "unrecorded": unrecorded}


def _ends(tables: "_Tables") -> Document:
    rows = tables.read(
        "deliveries",
        "created_at",
        "status, attempts, reason, count() AS n, countIf(replay_id != '') AS again",
        "status, attempts, reason",
    )
    delivered: Counter[int] = Counter()
    reasons: dict[str, Counter[str]] = {state: Counter() for state in ("FAILED", "CANCELLED")}
    pending: Counter[str] = Counter()
    for row in rows:
        if row["status"] == "SUCCESS":
            delivered[max(0, row["attempts"] - 1)] += row["n"]
        elif row["status"] in reasons:
            reasons[row["status"]][row["reason"]] += row["n"]
        else:
            pending["retrying" if row["status"] == "RETRYING" else "not_tried"] += row["n"]
    after = {str(retries): count for retries, count in sorted(delivered.items()) if retries}
    return {
        "replayed": sum(row["again"] for row in rows),
        "delivered": {"total": delivered.total(), "first_try": delivered[0], "after_retries": after},
        "failed": _by_reason(reasons["FAILED"]),
        "cancelled": _by_reason(reasons["CANCELLED"]),
        "pending": {"total": pending.total(), "not_tried": pending["not_tried"], "retrying": pending["retrying"]},
    }


def _by_reason(counts: "Counter[str]") -> Document:
    return {"total": counts.total(), "reasons": dict(counts.most_common())}


@dataclass(frozen=True, slots=True)
class _Tables:
    client: Client
    span: Span
    conditions: Sequence[Condition]

    def read(self, table: str, time: str, figures: str, groups: str = "") -> list[Document]:
        """Figures over the rows of a table within the span."""
        wanted = [Condition(self.span.condition(time), dict(self.span.parameters())), *self.conditions]
        query = f"SELECT {figures} FROM {table} FINAL WHERE {' AND '.join(item.sql for item in wanted)}"  # noqa: S608 - names are ours
        parameters = {name: value for item in wanted for name, value in item.parameters.items()}
        found = self.client.query(f"{query} GROUP BY {groups}" if groups else query, parameters=parameters)
        return [dict(row) for row in found.named_results()]
