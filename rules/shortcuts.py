"""Names for what stands deep in a push: `branch == 'main'` instead of `event.ref == 'refs/heads/main'`.

Where each stands is data, the first place that holds a text counts. The places differ enough between providers that
nobody has to say which one it is, so that they also work behind a proxy that signs in its own way.

Sources: docs.github.com, "Webhook events and payloads"; docs.gitlab.com, "Webhook events"; Gitea sends as GitHub does;
support.atlassian.com, "Event payloads" (Bitbucket).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a value stands in a parsed body.

    Attributes:
        steps: names of members, and indexes of lists.
        prefix: that the text must begin with, and that is taken away.
    """

    steps: tuple[str | int, ...]
    prefix: str = ""


def _at(path: str, prefix: str = "") -> Place:
    return Place(tuple(int(part) if part.isdigit() else part for part in path.split(".")), prefix)


SHORTCUTS: Mapping[str, tuple[Place, ...]] = {
    "branch": (
        _at("ref", "refs/heads/"),  # a push, at GitHub, GitLab, Gitea
        _at("pull_request.head.ref"),
        _at("workflow_run.head_branch"),
        _at("check_suite.head_branch"),
        _at("check_run.check_suite.head_branch"),
        _at("object_attributes.source_branch"),  # GitLab, a merge request
        _at("object_attributes.ref"),  # GitLab, a pipeline
        _at("push.changes.0.new.name"),  # Bitbucket
    ),
    "commit": (
        _at("after"),
        _at("pull_request.head.sha"),
        _at("workflow_run.head_sha"),
        _at("check_suite.head_sha"),
        _at("check_run.head_sha"),
        _at("object_attributes.last_commit.id"),
        _at("object_attributes.sha"),
        _at("push.changes.0.new.target.hash"),
        _at("sha"),  # GitHub, a commit's status
    ),
    "repository": (
        _at("repository.full_name"),
        _at("project.path_with_namespace"),
    ),
    "action": (
        _at("action"),
        _at("object_attributes.action"),
    ),
}
"""Variable to its places; what stands at none of them is an empty text."""


def shortcut_of(body: Any, name: str) -> str:
    """The value of a shortcut for a parsed body, whatever it is; empty when it stands at none of its places."""
    return next(filter(None, (_text(body, place) for place in SHORTCUTS[name])), "")


def shortcuts_of(body: Any) -> dict[str, str]:
    """The value of every shortcut."""
    return {name: shortcut_of(body, name) for name in SHORTCUTS}


def _text(value: Any, place: Place) -> str:
    for step in place.steps:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return ""
    if not isinstance(value, str) or not value.startswith(place.prefix):
        return ""
    return value.removeprefix(place.prefix)
