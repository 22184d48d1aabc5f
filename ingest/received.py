"""A request that proved its sender, on its way to becoming events."""

from dataclasses import dataclass

from ingest.directory import Destination
from rules.verify import Verifier, verifier_of
from runtime.problem import ProblemError
from schemas.config import SourceSpec


@dataclass(frozen=True, slots=True)
class Received:
    """A request that proved its sender: where it goes, and its exact bytes."""

    destination: Destination
    body: bytes

    @property
    def verifier(self) -> Verifier:
        """Of the source."""
        return verifier_for(self.destination.source.spec)


def verifier_for(source: SourceSpec) -> Verifier:
    """What verifies the senders of a source.

    Raises:
        ProblemError: 403, nothing here does.
    """
    verifier = verifier_of(source.auth_type)
    if verifier is None:  # a newer release knows it; this one must not let anybody in
        raise ProblemError(403, "auth_type_unknown", "the source names a verification that does not exist here")
    return verifier
