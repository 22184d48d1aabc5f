"""The query parameters of the config routes: read strictly, and what each of them selects."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams

from ingest.config_pages import DEFAULT_LIMIT, MAX_LIMIT
from ingest.references import name_of
from rules.match import matches_type
from runtime.problem import ProblemError, field_errors
from schemas.config import SourceSpec, Spec, SubscriptionSpec, TopicSpec
from schemas.stored import Record

MAX_CURSOR_CHARS = 128
"""An id of 64 characters makes a cursor of 86."""

_TEXT_CHARS = 2_048  # the longest target_url

Query = TypeVar("Query", bound=BaseModel)


class _Strict(BaseModel):
    # A misspelt filter that is silently ignored shows everything, and a misspelt dry_run deletes.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paging(_Strict):
    """Which page."""

    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many at most.")
    cursor: str = Field(
        default="", max_length=MAX_CURSOR_CHARS, description="The `next_cursor` of the page before; empty: the first."
    )


class ListQuery(Paging):
    """What every list can be asked; filters are combined with "and"."""

    q: str = Field(default="", max_length=200, description="Stands in the id or the name, in whatever case.")

    @property
    def parent_id(self) -> str | None:
        """Whose children alone can match; `None` when all records can."""
        return None

    def wants(self, record: Record[Spec]) -> bool:
        """Whether a record matches."""
        return not self.q or _holds(record.spec, self.q.casefold())


class SourceQuery(ListQuery):
    """Filters of the list of sources."""

    auth_type: str | None = Field(default=None, max_length=_TEXT_CHARS, description="Exactly this.")
    name: str | None = Field(default=None, max_length=_TEXT_CHARS, description="Exactly this.")

    def wants(self, record: Record[Spec]) -> bool:
        """Whether a source matches."""
        spec = record.spec
        return (
            isinstance(spec, SourceSpec)
            and self.auth_type in {None, spec.auth_type}
            and self.name in {None, spec.name}
            and super().wants(record)
        )


class TopicQuery(ListQuery):
    """Filters of the list of topics."""

    source_id: str | None = Field(default=None, max_length=_TEXT_CHARS, description="Of this source.")

    @property
    def parent_id(self) -> str | None:
        """The source."""
        return self.source_id


class SubscriptionQuery(ListQuery):
    """Filters of the list of subscriptions."""

    topic_id: str | None = Field(
        default=None, max_length=_TEXT_CHARS, description="Of this topic alone; `*` lists those of all topics."
    )
    is_active: bool | None = Field(default=None, description="Whether it delivers now.")
    subscriber_name: str | None = Field(default=None, max_length=_TEXT_CHARS, description="Exactly this.")
    target_url: str | None = Field(
        default=None,
        max_length=_TEXT_CHARS,
        description="With `://`, what the URL begins with; without, the host, such as `billing.example.com`.",
    )
    event_type: str | None = Field(
        default=None, max_length=_TEXT_CHARS, description="Its `event_types` match an event of this type."
    )

    @property
    def parent_id(self) -> str | None:
        """The topic."""
        return self.topic_id

    def wants(self, record: Record[Spec]) -> bool:
        """Whether a subscription matches."""
        spec = record.spec
        return (
            isinstance(spec, SubscriptionSpec)
            and self.is_active in {None, spec.is_active}
            and self.subscriber_name in {None, spec.subscriber_name}
            and (self.target_url is None or _leads_to(spec, self.target_url))
            and (self.event_type is None or not spec.event_types or matches_type(spec.event_types, self.event_type))
            and super().wants(record)
        )


class DeleteQuery(_Strict):
    """How to delete."""

    cascade: bool = Field(default=True, description="`false`: refuse when anything refers to the record.")
    dry_run: bool = Field(default=False, description="`true`: tell what would be deleted, and delete nothing.")


LIST_QUERIES: dict[str, type[ListQuery]] = {
    SourceSpec.kind: SourceQuery,
    TopicSpec.kind: TopicQuery,
    SubscriptionSpec.kind: SubscriptionQuery,
}


def read_query(model: type[Query], params: QueryParams) -> Query:
    """The parameters of a request.

    Raises:
        ProblemError: 422, naming every one that is unknown, wrong, or given twice.
    """
    errors = [{"field": name, "message": "is given more than once"} for name in params if len(params.getlist(name)) > 1]
    query: Query | None = None
    try:
        query = model.model_validate(dict(params))
    except ValidationError as error:
        errors += field_errors(error.errors(include_input=False, include_url=False))
    if errors or query is None:
        names = ", ".join(error["field"] for error in errors)
        raise ProblemError(422, "invalid", f"wrong parameters: {names}"[:500], errors=errors)
    return query


def _holds(spec: Spec, text: str) -> bool:
    return text in spec.id.casefold() or text in name_of(spec).casefold()


def _leads_to(spec: SubscriptionSpec, text: str) -> bool:
    return spec.target_url.startswith(text) if "://" in text else spec.target_host == text.lower()
