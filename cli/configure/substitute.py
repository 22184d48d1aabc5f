"""`${NAME}` in the secrets of a file: the file can be committed, and the secret stays in the environment."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$(?:(?P<escape>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\{))")

FieldError = tuple[str, str]


class UnresolvedError(ValueError):
    """A reference cannot be resolved; the message says which, and never a value."""


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """The text with every `${NAME}` replaced; `$$` stands for one `$`, and any other `$` for itself.

    Raises:
        UnresolvedError: a variable is not set or empty, or a `${` is no reference.
    """

    def value(found: re.Match[str]) -> str:
        if found["escape"]:
            return "$"
        if found["broken"]:
            raise UnresolvedError("has a ${ that names no variable; $$ stands for a $")
        if not environment.get(found["name"]):
            raise UnresolvedError(f"needs the environment variable {found['name']}, which is not set")
        return environment[found["name"]]

    return _REFERENCE.sub(value, text)


def resolve_secrets(
    document: dict[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], list[FieldError]]:
    """The document with its `secret`, `secrets`, `headers` and `tls` resolved, and what could not be."""
    errors: list[FieldError] = []

    def change(field: str, value: Any) -> Any:
        try:
            return resolve(value, environment) if isinstance(value, str) else value
        except UnresolvedError as error:
            errors.append((field, str(error)))
            return value

    return _changed(document, change), errors


def _changed(document: dict[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
    copy = dict(document)
    if "secret" in copy:
        copy["secret"] = change("secret", copy["secret"])
    if isinstance(copy.get("secrets"), list):
        copy["secrets"] = [change(f"secrets.{index}", item) for index, item in enumerate(copy["secrets"])]
    if isinstance(copy.get("headers"), dict):
        copy["headers"] = {name: change(f"headers.{name}", item) for name, item in copy["headers"].items()}
    if isinstance(copy.get("tls"), dict):
        copy["tls"] = {name: change(f"tls.{name}", item) for name, item in copy["tls"].items()}
    return copy
