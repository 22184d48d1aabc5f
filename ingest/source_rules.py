"""What a source's record means for the requests of its senders: worked out once a version, not once a request."""

from dataclasses import dataclass, field

from rules.verify import Verifier, verifier_of
from runtime.problem import ProblemError
from schemas.config import SourceSpec


@dataclass(frozen=True, slots=True)
class SourceRules:
    """The rules of one version of a source.

    Attributes:
        verifier: knows its senders.
        credentials: lower-cased names of the headers whose values are never stored.
        secrets: all that are valid, the one to sign with first.
        asks_questions: whether its provider sends requests that are no events.
    """

    spec: SourceSpec
    verifier: Verifier
    credentials: frozenset[str]
    secrets: tuple[str, ...] = field(repr=False)
    asks_questions: bool

    @classmethod
    def of(cls, source: SourceSpec) -> "SourceRules":
        """Those of a source.

        Raises:
            ProblemError: 403, nothing here verifies its senders.
        """
        verifier = verifier_of(source.auth_type)
        if verifier is None:  # a newer release knows it; this one must not let anybody in
            raise ProblemError(403, "auth_type_unknown", "the source names a verification that does not exist here")
        return cls(
            spec=source,
            verifier=verifier,
            credentials=verifier.credential_headers(source.auth_config),
            secrets=tuple(source.all_secrets),
            asks_questions=type(verifier).answer is not Verifier.answer,
        )
