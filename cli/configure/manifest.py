"""Records as files ask for them: `kind: source` and its fields, or lists under `sources:` and the other kinds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.configure.kinds import KINDS, Kind
from cli.configure.manifest_files import TextFile
from cli.configure.manifest_text import UnreadableError, read_json, read_yaml
from cli.configure.substitute import FieldError, resolve_secrets
from schemas.config import SPECS
from schemas.stored import SHOWN_ONLY

_BY_ONE = {kind.one: kind for kind in KINDS}
_BY_NAME = {kind.name: kind for kind in KINDS}


class WrongFilesError(ValueError):
    """The files cannot be applied.

    Attributes:
        complaints: everything that is wrong with all of them, a line each.
    """

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = tuple(complaints)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One record that a file asks for.

    Attributes:
        document: what the API is sent, secrets in the clear.
        place: file and document, such as `orders.yaml:document 2`.
        path: where the record stands in the document, such as `subscriptions.0`.
    """

    kind: Kind
    document: dict[str, Any]
    place: str
    path: str

    @property
    def id(self) -> str:
        """The record's id."""
        return str(self.document["id"])

    def complaint(self, field: str, message: str) -> str:
        """A line about a field of it."""
        return f"{self.place}: {'.'.join(filter(None, (self.path, field)))}: {message}"


def read_manifests(files: Sequence[TextFile], environment: Mapping[str, str]) -> list[Manifest]:
    """Every record in the files, each of which has all its fields in order.

    Args:
        files: as found.
        environment: what `${NAME}` in a secret is looked up in.

    Raises:
        WrongFilesError: it names every bad field of every file.
    """
    complaints: list[str] = []
    found = [manifest for file in files for manifest in _of_file(file, complaints)]
    checked = [_checked(manifest, environment, complaints) for manifest in found]
    complaints += _repetitions(checked)
    if complaints:
        raise WrongFilesError(complaints)
    return checked


def field_errors(kind: Kind, document: dict[str, Any]) -> list[FieldError]:
    """Every field of a document that no record of the kind may have so."""
    from pydantic import ValidationError

    from runtime.problem import field_errors as in_short

    try:
        SPECS[kind.name].model_validate(document)
    except ValidationError as error:
        return [(item["field"], item["message"]) for item in in_short(error.errors(include_input=False))]
    return []


def without_shown(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what only an answer has: what was shown can be applied."""
    return {name: value for name, value in document.items() if name not in SHOWN_ONLY}


def _of_file(file: TextFile, complaints: list[str]) -> Iterator[Manifest]:
    try:
        documents = documents_of(file)
    except UnreadableError as error:
        complaints.append(f"{file.name}: {error}")
        return
    for number, document in enumerate(documents, 1):
        if document is not None:  # nothing but comments between two ---
            yield from _of_document(document, f"{file.name}:document {number}", complaints)


def documents_of(file: TextFile) -> list[Any]:
    """The documents in a file, a JSON list as several.

    Raises:
        UnreadableError: it is neither YAML nor JSON, as its name says.
    """
    if file.name.endswith(".json"):
        documents = read_json(file.text)
    else:
        try:
            documents = read_json(file.text)  # of which YAML 1.1 is no superset
        except UnreadableError:
            documents = read_yaml(file.text)
    return documents[0] if len(documents) == 1 and isinstance(documents[0], list) else documents


def _of_document(document: Any, place: str, complaints: list[str]) -> Iterator[Manifest]:
    if not isinstance(document, dict):
        complaints.append(f"{place}: is no mapping with a kind: ({', '.join(_BY_ONE)})")
    elif "kind" in document:
        fields = dict(document)
        kind = _BY_ONE.get(str(fields.pop("kind")))
        if kind is None:
            complaints.append(f"{place}: kind: {document['kind']!r} is none of {', '.join(_BY_ONE)}")
        else:
            yield from _record(kind, fields, place, kind.name, complaints)
    elif document and document.keys() <= _BY_NAME.keys():
        for name, items in document.items():
            yield from _of_list(_BY_NAME[name], items, place, complaints)
    else:
        complaints.append(
            f"{place}: kind: is missing ({', '.join(_BY_ONE)}), or it must have only lists of {', '.join(_BY_NAME)}"
        )


def _of_list(kind: Kind, items: Any, place: str, complaints: list[str]) -> Iterator[Manifest]:
    if not isinstance(items, list):
        complaints.append(f"{place}: {kind.name}: must be a list")
        return
    for index, item in enumerate(items):
        yield from _record(kind, item, place, f"{kind.name}.{index}", complaints)


def _record(kind: Kind, item: Any, place: str, path: str, complaints: list[str]) -> Iterator[Manifest]:
    try:
        # Through JSON, so that what is checked is what will be sent.
        document = json.loads(json.dumps(item, allow_nan=False))
    except (TypeError, ValueError) as error:
        complaints.append(f"{place}: {path}: cannot be sent as JSON ({error}); a date must stand in quotes")
        return
    if not isinstance(document, dict):
        complaints.append(f"{place}: {path}: must be a mapping")
        return
    yield Manifest(kind, without_shown(document), place, path)


def _checked(manifest: Manifest, environment: Mapping[str, str], complaints: list[str]) -> Manifest:
    document, errors = resolve_secrets(manifest.document, environment)
    complaints += [manifest.complaint(*error) for error in [*errors, *field_errors(manifest.kind, document)]]
    return Manifest(manifest.kind, document, manifest.place, manifest.path)


def _repetitions(manifests: Sequence[Manifest]) -> Iterator[str]:
    first: dict[tuple[str, str], Manifest] = {}
    for manifest in manifests:
        if isinstance(manifest.document.get("id"), str):
            other = first.setdefault((manifest.kind.name, manifest.id), manifest)
            if other is not manifest:
                yield manifest.complaint("id", f"{manifest.id} is also in {other.place}")
