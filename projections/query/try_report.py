"""What a tried subscription comes to: counts, and examples of each reason and of each kind of change."""

from collections import Counter
from typing import Any

from projections.query.shown_body import body_diff, shown_body
from rules.shadow import OTHER_TOPIC, Outcome
from schemas.event import Event
from schemas.headers import rfc3339

CHANGES = ("newly_delivered", "no_longer_delivered", "changed", "unchanged")


class Side:
    """What one version makes of the events of its topic."""

    def __init__(self) -> None:
        self.delivered = 0
        self.skipped: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()

    def count(self, outcome: Outcome) -> None:
        """Takes one in; an event of another topic is no business of it."""
        if outcome.fate == "delivered":
            self.delivered += 1
        elif outcome.reason != OTHER_TOPIC:
            (self.skipped if outcome.fate == "skipped" else self.dead)[outcome.reason] += 1

    def shown(self) -> dict[str, Any]:
        """As it is answered."""
        return {"delivered": self.delivered, "skipped": dict(self.skipped), "dead": dict(self.dead)}


class Report:
    """Takes outcomes in, one event after the other.

    Args:
        most: examples of each reason and of each kind of change.
        compares: whether there is a version of today.
    """

    def __init__(self, most: int, *, compares: bool) -> None:
        self._most = most
        self.tried = Side()
        self.today = Side() if compares else None
        self.changes: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, Any]]] = {}

    def add(self, event: Event, tried: Outcome, today: Outcome | None) -> None:
        """Counts an event.

        Args:
            event: that came.
            tried: what the tried version makes of it.
            today: what the version of today makes of it.
        """
        self.tried.count(tried)
        if tried.fate != "delivered" and tried.reason != OTHER_TOPIC:
            told = {"reason": tried.reason, "detail": tried.detail}
            self._keep(f"{tried.fate}: {tried.reason}", event, told)
        if self.today is None or today is None:
            if tried.fate == "delivered":
                self._keep("delivered", event, _sent(tried))
            return
        self.today.count(today)
        change = _change(tried, today)
        if change:
            self.changes[change] += 1
            self._keep_change(change, event, tried, today)

    def _keep_change(self, change: str, event: Event, tried: Outcome, today: Outcome) -> None:
        if self._has_enough(change):
            return
        if change == "changed":
            told = _sent(tried) | {"before": _sent(today), "diff": body_diff(today.body, tried.body)}
        elif change == "newly_delivered":
            told = _sent(tried) | {"reason": today.reason, "detail": today.detail}
        elif change == "no_longer_delivered":
            told = {"reason": tried.reason, "detail": tried.detail}
        else:
            return
        self._keep(change, event, told)

    def _has_enough(self, name: str) -> bool:
        return len(self._examples.get(name, ())) >= self._most

    def _keep(self, name: str, event: Event, told: dict[str, Any]) -> None:
        if self._has_enough(name):
            return
        what = {"event_id": event.event_id, "topic_id": event.topic_id, "event_type": event.event_type}
        self._examples.setdefault(name, []).append(what | {"received_at": rfc3339(event.received_ms)} | told)

    def shown(self) -> dict[str, Any]:
        """As it is answered."""
        return {
            **self.tried.shown(),
            "today": self.today.shown() if self.today else None,
            "changes": {name: self.changes[name] for name in CHANGES} if self.today else None,
            "examples": self._examples,
        }


def _change(tried: Outcome, today: Outcome) -> str:
    now, then = tried.fate == "delivered", today.fate == "delivered"
    if now and then:
        same = (tried.body, tried.content_type) == (today.body, today.content_type)
        return "unchanged" if same else "changed"
    if now:
        return "newly_delivered"
    return "no_longer_delivered" if then else ""


def _sent(outcome: Outcome) -> dict[str, Any]:
    return {"content_type": outcome.content_type} | shown_body(outcome.body)
