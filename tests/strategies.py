"""What property tests draw: text and records as they can occur, and bytes as anybody may produce them."""

from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.attempt import Attempt, AttemptKind, AttemptStatus
from schemas.delivery import BodyRef, Delivery
from schemas.dispatch import Dispatch, Skip
from schemas.event import Event
from schemas.headers import MAX_INTEGER
from schemas.operation import Operation, OperationKind
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult
from schemas.rejection import Rejection
from schemas.streams import MAX_RECORD_BYTES

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)  # UTF-8 has no lone surrogates
LATIN1 = st.text(st.characters(max_codepoint=0xFF), max_size=60)  # what an HTTP header may carry
NUMBER = st.integers(0, MAX_INTEGER)
COUNT = st.integers(1, MAX_INTEGER)
POSITION = NUMBER
TIME_MS = st.integers(0, 7_258_118_400_000)  # until the year 2200
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
RECORD_HEADERS = st.lists(st.tuples(TEXT, st.binary(max_size=40)), max_size=12)

EXTRA = st.lists(st.tuples(TEXT.map("x-".__add__), st.binary(max_size=40)), max_size=5).map(tuple)

events = st.builds(
    Event,
    event_id=TEXT,
    topic_id=TEXT,
    source_id=TEXT,
    event_type=TEXT,
    received_ms=TIME_MS,
    body=st.binary(max_size=500),
    content_type=TEXT,
    source_ip=TEXT,
    dedup_id=TEXT,
    traceparent=TEXT,
    schema_fault=TEXT,
    request_headers=st.lists(st.tuples(LATIN1, LATIN1), max_size=5).map(tuple),
    extra=EXTRA,
)

body_refs = st.builds(
    BodyRef, partition=NUMBER, offset=POSITION, size_bytes=st.integers(0, MAX_RECORD_BYTES), digest=TEXT
)

plain_deliveries = st.builds(
    Delivery,
    delivery_id=TEXT,
    event_id=TEXT,
    subscription_id=TEXT,
    topic_id=TEXT,
    source_id=TEXT,
    event_type=TEXT,
    generation=POSITION,
    config_version=POSITION,
    received_ms=TIME_MS,
    body=st.binary(max_size=500),
    content_type=TEXT,
    traceparent=TEXT,
    target=NUMBER,
    attempt=COUNT,
    parks=NUMBER,
    due_ms=NUMBER,
    replay_id=TEXT,
    released_ms=NUMBER,
    webhook_id=TEXT,
    reason=TEXT,
    request_headers=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
)
deliveries = plain_deliveries | st.builds(
    lambda item, ref: replace(item, body=b"", body_ref=ref), plain_deliveries, body_refs
)

attempts = st.builds(
    Attempt,
    kind=st.sampled_from(AttemptKind),
    delivery_id=TEXT,
    event_id=TEXT,
    subscription_id=TEXT,
    topic_id=TEXT,
    source_id=TEXT,
    event_type=TEXT,
    generation=POSITION,
    attempt=COUNT,
    parks=NUMBER,
    status=st.sampled_from(AttemptStatus),
    received_ms=NUMBER,
    started_ms=NUMBER,
    duration_ms=NUMBER,
    next_attempt_ms=NUMBER,
    response_status_code=NUMBER,
    response_body=TEXT,
    error=TEXT,
    reason=TEXT,
    target_url=TEXT,
    config_version=POSITION,
    replay_id=TEXT,
    until_ms=NUMBER,
)

dispatches = st.builds(
    Dispatch,
    event_id=TEXT,
    topic_id=TEXT,
    source_id=TEXT,
    event_type=TEXT,
    received_ms=NUMBER,
    dispatched_ms=NUMBER,
    event_partition=NUMBER,
    event_offset=POSITION,
    config_version=POSITION,
    matched=NUMBER,
    skipped=st.dictionaries(TEXT, NUMBER, max_size=4),
    skips=st.lists(st.builds(Skip, TEXT, TEXT, TEXT), max_size=4),
    duplicate=st.booleans(),
    duplicate_of=TEXT,
    dedup_hash=TEXT,
    appended_ms=NUMBER,
    error=TEXT,
)

rejections = st.builds(
    Rejection,
    rejection_id=TEXT,
    topic_id=TEXT,
    source_id=TEXT,
    status=NUMBER,
    code=TEXT,
    reason=TEXT,
    received_ms=NUMBER,
    source_ip=TEXT,
    content_type=TEXT,
    headers=st.lists(st.tuples(LATIN1, LATIN1), max_size=5),
    body=TEXT,
    body_bytes=NUMBER,
    unrecorded=NUMBER,
)

outcomes = st.builds(
    Outcome,
    kind=TEXT,
    id=TEXT,
    intake_offset=POSITION,
    at_ms=NUMBER,
    result=st.sampled_from(OutcomeResult),
    action=st.sampled_from(OutcomeAction),
    version=POSITION,
    generation=POSITION,
    code=TEXT,
    field=TEXT,
    reason=TEXT,
    record=st.none()
    | st.dictionaries(TEXT, st.none() | st.booleans() | POSITION | TEXT | st.lists(TEXT, max_size=3), max_size=4),
    actor=TEXT,
)

operations = st.builds(
    Operation,
    operation_id=TEXT,
    kind=st.sampled_from(OperationKind) | TEXT,
    at_ms=NUMBER,
    subject_kind=TEXT,
    subject_id=TEXT,
    topic_id=TEXT,
    subscription_id=TEXT,
    event_id=TEXT,
    delivery_id=TEXT,
    message=TEXT,
    detail=st.dictionaries(TEXT, TEXT | NUMBER | st.floats(allow_nan=False, allow_infinity=False), max_size=4),
)
