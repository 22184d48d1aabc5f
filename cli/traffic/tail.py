"""`hooklog tail`: events, attempts and refusals as they happen."""

import json
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from cli.environment import read_settings
from cli.exits import refuse
from cli.gateway import Gateway
from cli.show import all_printable, console, print_json
from cli.traffic.logs import ATTEMPT_STATES, one_of

EXAMPLES = ("hooklog tail", "hooklog tail --topic orders --status failed", "hooklog tail --json | jq .reason")

POLL_S = 1.0
OVERLAP = timedelta(seconds=10)
"""How far each look reaches back: rows of one insert may be seen before those of an earlier one."""

LATE = timedelta(days=1)
"""How old what happened may be when its row is written; it only keeps the database from reading everything."""

PAGE = 5_000
"""Rows in one answer; whatever is more comes with the next."""

MAX_SEEN = 200_000
"""Rows of the overlap that are known to have been shown: 20,000 a second is more than anybody reads."""

EVENT, ATTEMPT, REJECTION = "event", "attempt", "rejection"
_TABLES = {
    EVENT: ("events", "received_at"),
    ATTEMPT: ("attempts", "started_at"),
    REJECTION: ("rejections", "received_at"),
}
_COLUMNS = {
    EVENT: "received_at AS at, event_id, topic_id, source_id, event_type, payload_bytes",
    ATTEMPT: (
        "started_at AS at, event_id, delivery_id, subscription_id, topic_id, event_type, kind, attempt, status, "
        "response_status_code, error, reason, duration_ms, next_attempt_at"
    ),
    REJECTION: "received_at AS at, rejection_id, topic_id, source_id, response_status_code, code, reason",
}

Row = dict[str, Any]


def tail(
    topic: Annotated[str | None, typer.Option(help="Of this topic only.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Attempts with this outcome only; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Follow what happens from now on, one line each, until Ctrl-C."""
    from schemas.ids import RECORD_ID

    if topic is not None and not RECORD_ID.fullmatch(topic):
        refuse(f"{topic!r} is no id of a topic")
    wanted = [str(one_of(ATTEMPT_STATES, one)) for one in status or []]
    look = Look(Gateway(read_settings()), topic, wanted)
    printed = 0
    try:
        look.begin()
        sys.stderr.write("following (Ctrl-C ends it)\n")
        for row in look.rows():
            print_json(row) if as_json else _show(row)
            printed += 1
            if printed == count:
                return
    except KeyboardInterrupt:
        raise SystemExit(0) from None


@dataclass
class Look:
    """Looks again and again at what was written since, in the order of its writing.

    Rows are followed by when they were written, not by when they happened: a slow attempt began long ago.

    Args:
        gateway: asks.
        topic: only of this one; an id, or `None`.
        statuses: only attempts with these outcomes; empty is everything that happens.
        page: rows in one answer.
    """

    gateway: Gateway
    topic: str | None = None
    statuses: list[str] = field(default_factory=list)
    page: int = PAGE
    _start: datetime | None = None
    _seen: OrderedDict[tuple[str, int, int], None] = field(default_factory=OrderedDict)

    def begin(self) -> None:
        """Follow from now on, by the clock that stamps the rows."""
        self._start = datetime.fromisoformat(self._ask("SELECT now64(3, 'UTC') AS now")[0]["now"])

    def rows(self) -> Iterator[Row]:
        """Yield each row once, without end; `begin` comes first."""
        if self._start is None:
            raise RuntimeError("begin() says from when on")
        start = since = self._start
        while True:
            begin_s = time.monotonic()
            after = max(start, since - OVERLAP)
            fresh = [row for what in self._whats() for row in self._written(what, after) if self._is_new(row)]
            since = max([since, *(datetime.fromisoformat(row["_ingested_at"]) for row in fresh)])
            for row in sorted(fresh, key=lambda row: row["at"]):
                yield {name: value for name, value in row.items() if not name.startswith("_")}
            time.sleep(max(0.0, POLL_S - (time.monotonic() - begin_s)))

    def _whats(self) -> list[str]:
        return [ATTEMPT] if self.statuses else [EVENT, ATTEMPT, REJECTION]

    def _written(self, what: str, after: datetime) -> Iterator[Row]:
        position = f"({_quoted(after)}, 0, 0)"
        while True:
            page = self._ask(self._statement(what, after, position))
            yield from page
            if len(page) < self.page:
                return
            last = page[-1]
            moment = _quoted(datetime.fromisoformat(last["_ingested_at"]))
            position = f"({moment}, {int(last['_partition'])}, {int(last['_offset']) + 1})"

    def _statement(self, what: str, after: datetime, position: str) -> str:
        table, happened = _TABLES[what]
        conditions = [f"(_ingested_at, _partition, _offset) >= {position}", f"{happened} >= {_quoted(after - LATE)}"]
        conditions.append(f"_ingested_at >= {_quoted(after)}")  # what the index knows
        if self.topic:
            conditions.append(f"topic_id = '{self.topic}'")
        if self.statuses:
            conditions.append("status IN ({})".format(", ".join(f"'{status}'" for status in self.statuses)))
        # The names are this module's own; what the caller typed was checked against their forms.
        return (
            f"SELECT '{what}' AS what, {_COLUMNS[what]}, _ingested_at, _partition, _offset FROM {table} "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} ORDER BY _ingested_at, _partition, _offset LIMIT {self.page}"
        )

    def _ask(self, statement: str) -> list[Row]:
        document = {"query": statement, "format": "json"}
        answer = self.gateway.call("query", "POST", "/api/v1/sql", document=document)
        return [json.loads(line) for line in answer.text.splitlines()]

    def _is_new(self, row: Row) -> bool:
        key = (row["what"], row["_partition"], row["_offset"])
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return True


def _quoted(moment: datetime) -> str:
    return f"toDateTime64('{moment:%Y-%m-%d %H:%M:%S.%f}', 3, 'UTC')"


def _show(row: Row) -> None:
    console().print(line_of(all_printable(row)), soft_wrap=True)
    sys.stdout.flush()


def line_of(row: Row) -> Any:
    """Return one row as a line of rich text."""
    from rich.text import Text

    from cli.traffic.life import STYLES

    line = Text(f"{row['at'][11:23]}  ", style="dim")
    if row["what"] == EVENT:
        line.append(f"{'RECEIVED':<10}", style="blue").append(f"{row['event_id']}  {row['topic_id']}", style="default")
        return line.append(f"  {row['event_type']}  {row['payload_bytes']} bytes", style="default")
    if row["what"] == REJECTION:
        line.append(f"{'REFUSED':<10}", style="red").append(
            f"{row['rejection_id']}  {row['topic_id']}", style="default"
        )
        return line.append(f"  {row['code']}: {row['reason']}", style="default")
    line.append(f"{row['status']:<10}", style=STYLES.get(row["status"], ""))
    line.append(f"{row['event_id']}  {row['topic_id']} → {row['subscription_id']}", style="default")
    if row["kind"] != ATTEMPT:
        return line.append(f"  {row['kind']}: {row['reason']}", style="default")
    answered = row["response_status_code"] or row["error"] or row["reason"]
    line.append(f"  attempt {row['attempt']}: {answered}, {row['duration_ms']} ms", style="default")
    if not row["next_attempt_at"].startswith("1970"):
        line.append(f", next {row['next_attempt_at'][11:19]}", style="dim")
    return line
