"""Verifiers of other distributions: entry points of the group `hooklog.verifiers`, each named as its auth_type.

Whoever starts a process reads what is installed and hands it in, once, before anything is decided.
"""

import inspect
import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint

from rules.verify.registry import add_verifier, verifier_of
from rules.verify.setting import Setting
from rules.verify.verifier import Verifier

GROUP = "hooklog.verifiers"

_AUTH_TYPE = re.compile(r"[a-z0-9_]{1,64}")


class PluginError(RuntimeError):
    """Repair or remove the distribution that it names: without it, sources that need it would be refused."""


def add_plugins(found: Iterable[EntryPoint]) -> None:
    """Makes the auth_types of plug-ins known; what is known of the same class stays.

    Args:
        found: `importlib.metadata.entry_points(group=GROUP)`.

    Raises:
        PluginError: one cannot be loaded, is no verifier, or has a name that is taken.
    """
    for entry in sorted(found, key=lambda one: one.name):
        kind = _loaded(entry)
        if type(verifier_of(entry.name)) is not kind:
            _add(entry, kind)


def _loaded(entry: EntryPoint) -> type[Verifier]:
    try:
        kind = entry.load()
    except Exception as error:
        raise _refused(entry, f"{entry.value} cannot be loaded: {type(error).__name__}: {error}") from error
    if not inspect.isclass(kind) or not issubclass(kind, Verifier) or inspect.isabstract(kind):
        raise _refused(entry, f"{entry.value} is no class made of rules.verify.Verifier with a verify of its own")
    if getattr(kind, "auth_type", None) != entry.name or not _AUTH_TYPE.fullmatch(entry.name):
        raise _refused(entry, "its auth_type is not the name of its entry point, or not of a-z, 0-9 and _")
    if not _is_tuple_of(str, kind.signature_headers) or not _is_tuple_of(Setting, kind.settings):
        raise _refused(entry, "signature_headers is no tuple of names, or settings no tuple of Setting")
    return kind


def _add(entry: EntryPoint, kind: type[Verifier]) -> None:
    try:
        verifier = kind()
    except Exception as error:
        raise _refused(entry, f"{entry.value} cannot be made: {type(error).__name__}: {error}") from error
    try:
        add_verifier(verifier)
    except ValueError as error:
        taken = type(verifier_of(entry.name))
        raise _refused(entry, f"{error}: {taken.__module__}.{taken.__qualname__}") from None


def _is_tuple_of(kind: type, value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, kind) for one in value)


def _refused(entry: EntryPoint, reason: str) -> PluginError:
    owner = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
    return PluginError(f"the verifier {entry.name} of {owner} cannot be used: {reason}")
