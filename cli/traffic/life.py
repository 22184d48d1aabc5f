"""The whole life of one event as a tree: received, dispatched, each delivery, each attempt."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cli.gateway import Gateway
from cli.show import all_printable, console

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

Story = dict[str, Any]

ENDED = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
STYLES = {
    "SUCCESS": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "RETRYING": "yellow",
    "FAILED_VALIDATION": "red",
}
POLL_S = 0.2
"""Often enough that a person does not notice, and five small queries a second."""

MAX_NAMED_SKIPS = 5
"""A topic may have thousands of subscriptions; the rest is counted by reason."""

MAX_ANSWER_CHARS = 200
"""Of an endpoint's answer: enough for its error message."""


def await_end(gateway: Gateway, event_id: str, timeout_s: float) -> tuple[Story, bool]:
    """Ask until every delivery has ended; returns the story as it is then, and whether all have."""
    deadline_s = time.monotonic() + timeout_s
    story: Story = {}
    while True:
        answer = gateway.call("query", "GET", f"/api/v1/logs/events/{quote(event_id, safe='')}", allow={404})
        if answer.is_success:
            story = answer.json()
            if has_ended(story):
                return story, True
        if time.monotonic() > deadline_s:
            return story, False
        time.sleep(POLL_S)


def has_ended(story: Story) -> bool:
    """Whether nothing of it is still to come."""
    if story["event"]["status"] == "FAILED_VALIDATION":
        return True
    dispatch, deliveries = story["dispatch"], story["deliveries"]
    complete = dispatch is not None and len(deliveries) >= dispatch["matched"]
    return complete and all(delivery["status"] in ENDED for delivery in deliveries)


def print_life(story: Story) -> None:
    """Print the tree."""
    console().print(tree_of(story))


def print_delivery(delivery: Story) -> None:
    """Print one delivery with its attempts; times are seconds after its event was received."""
    from rich.tree import Tree

    delivery = all_printable(delivery)
    tree = Tree(_delivery_line(delivery))
    _add_attempts(tree, delivery, delivery["created_at"])
    console().print(tree)


def tree_of(story: Story) -> "Tree":
    """Build the tree; times are seconds after the event was received."""
    from rich.tree import Tree

    story = all_printable(story)
    event = story["event"]
    began = event["received_at"]
    tree = Tree(_title(event))
    if event["status"] == "FAILED_VALIDATION":
        tree.add(_line("", f"refused with {event['response_status_code']} ", "red").append(_refusal(event)))
        return tree
    _add_dispatch(tree, story["dispatch"], began, len(story["deliveries"]))
    for delivery in story["deliveries"]:
        _add_attempts(tree.add(_delivery_line(delivery)), delivery, began)
    return tree


def _add_attempts(branch: "Tree", delivery: Story, began: str) -> None:
    for attempt in delivery["attempts"]:
        branch.add(_attempt_line(attempt, began))
    if delivery["status"] not in ENDED and not delivery["attempts"]:
        branch.add(_line("", "not tried yet"))


def _title(event: Story) -> "Text":
    from rich.text import Text

    title = Text(event.get("event_type") or "event", style="bold")
    title.append(f"  {event['event_id']}", style="not bold")
    facts = f"topic {event['topic_id']}, source {event['source_id'] or '?'}, {event['payload_bytes']} bytes"
    return title.append(f"  {facts}, received {event['received_at']}", style="not bold dim")


def _refusal(event: Story) -> str:
    return f"{event['code']}: {event['reason']}"


def _add_dispatch(tree: "Tree", dispatch: Story | None, began: str, deliveries: int) -> None:
    if dispatch is None:
        tree.add(_line("", "not dispatched yet"))
        return
    if dispatch["duplicate"]:
        first = f" (of {dispatch['duplicate_of']})" if dispatch["duplicate_of"] else ""
        tree.add(_line(_after(began, dispatch["dispatched_at"]), f"had been sent before{first}: not delivered again"))
        return
    matched, skipped = dispatch["matched"], dispatch["skipped"]
    of = f" of {matched + sum(map(int, skipped.values()))}" if skipped else ""
    text = f"dispatched to {matched}{of} subscription{'' if matched == 1 and not of else 's'}"
    if matched != deliveries and deliveries < matched:
        text += f" ({deliveries} seen so far)"
    branch = tree.add(_line(_after(began, dispatch["dispatched_at"]), text))
    for line in _skip_lines(dispatch):
        branch.add(_line("", line))


def _skip_lines(dispatch: Story) -> Iterator[str]:
    """Name the first skips; what is not named is counted by its reason."""
    rest = {reason: int(number) for reason, number in dispatch["skipped"].items()}
    for skip in dispatch["skips"][:MAX_NAMED_SKIPS]:
        named, reason, *details = skip.values() if isinstance(skip, Mapping) else skip
        rest[reason] = rest.get(reason, 0) - 1
        yield ": ".join([f"skipped {named}", reason, *filter(None, details)])
    for reason, number in rest.items():
        if number > 0:
            yield f"skipped {number} more: {reason}"


def _delivery_line(delivery: Story) -> "Text":
    line = _line("", delivery["status"], STYLES.get(delivery["status"], "")).append(f"  {delivery['subscription_id']}")
    number = delivery.get("attempts_made", len(delivery["attempts"]))
    made = f"after {number} attempt{'' if number == 1 else 's'}" if number else ""
    again = "sent again" if delivery.get("replay_id") else ""
    facts = [again, made, delivery["reason"], delivery["target_url"], f"delivery {delivery['delivery_id']}"]
    return line.append("  " + "  ".join(filter(None, facts)), style="dim")


def _attempt_line(attempt: Story, began: str) -> "Text":
    at = _after(began, attempt["started_at"])
    if attempt["kind"] == "parked":
        return _line(at, f"set aside: {attempt['reason']}, until {_after(began, attempt['next_attempt_at'])}", "dim")
    if attempt["kind"] != "attempt":
        return _line(at, f"{attempt['status'].lower()} without a request: {attempt['reason']}")
    answered = attempt["response_status_code"] or attempt["error"] or attempt["reason"]
    line = _line(at, f"attempt {attempt['attempt']}  ").append(str(answered), style=STYLES.get(attempt["status"], ""))
    line.append(f"  {attempt['duration_ms']} ms")
    if attempt["next_attempt_at"]:
        line.append(f"  next {_after(began, attempt['next_attempt_at'])}")
    if attempt["status"] != "SUCCESS" and attempt["response_body"]:
        answer = attempt["response_body"].replace("\n", "\\n")
        line.append(f"  '{answer[:MAX_ANSWER_CHARS]}'", style="dim")
    return line


def _line(at: str, text: str, style: str = "") -> "Text":
    from rich.text import Text

    line = Text()
    if at:
        line.append(f"{at:>9}  ", style="dim")
    return line.append(text, style=style)


def _after(began: str, at: str) -> str:
    passed_s = (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()
    return f"{passed_s:+.3f}s"
