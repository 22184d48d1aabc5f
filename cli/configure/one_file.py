"""The fields of one record, from a file with nothing else in it."""

import os
from pathlib import Path
from typing import Any

from cli.configure.kinds import Kind
from cli.configure.manifest import documents_of, without_shown
from cli.configure.manifest_files import UnusableFileError, read_files
from cli.configure.manifest_text import UnreadableError
from cli.configure.substitute import resolve_secrets
from cli.exits import refuse


def read_one(kind: Kind, file: Path) -> dict[str, Any]:
    """The fields; `${NAME}` in secrets is resolved, and a `kind`, when there is one, must be this one."""
    document, errors = resolve_secrets(without_shown(read_mapping(file)), os.environ)
    if (said := document.pop("kind", kind.one)) != kind.one:
        refuse(f"{file}: is no {kind.one} but a {said}")
    if errors:
        refuse("\n".join(f"{file}: {field}: {message}" for field, message in errors))
    return document


def read_mapping(file: Path) -> dict[str, Any]:
    """The one mapping in a file, YAML or JSON; `-` is standard input."""
    try:
        (found,), _ = read_files([file])
        documents = [document for document in documents_of(found) if document is not None]
    except UnusableFileError as error:
        refuse(error)
    except UnreadableError as error:
        refuse(f"{file}: {error}")
    except ValueError:
        refuse(f"{file} is a folder; use hooklog apply -f")
    if len(documents) != 1 or not isinstance(documents[0], dict):
        refuse(f"{file}: must be one mapping; hooklog apply -f takes many")
    return documents[0]
