"""Kubernetes admission reviews: always allowed, because a cluster must not stand still for whoever only listens.

Source: kubernetes.io, "Dynamic Admission Control", webhook request and response.
"""

import re

import msgspec
import orjson

from rules.told import Told

MAX_HEAD_BYTES = 4_096
"""The API server writes kind, version and uid in the first 150 bytes."""

_HEAD = re.compile(
    rb'\s*\{\s*"kind"\s*:\s*"AdmissionReview"\s*,\s*"apiVersion"\s*:\s*"(admission\.k8s\.io/v1(?:beta1)?)"\s*,'
    rb'\s*"request"\s*:\s*\{\s*"uid"\s*:\s*"([0-9A-Za-z-]{1,64})"'
)
"""As Go writes it: enough to answer a review that is too large to be read, or came too slowly."""

_VERSIONS = frozenset({"admission.k8s.io/v1", "admission.k8s.io/v1beta1"})
_UID = re.compile(r"[0-9A-Za-z-]{1,64}")


class _Request(msgspec.Struct):
    uid: str
    operation: str = ""


class _Review(msgspec.Struct, rename={"api_version": "apiVersion"}):
    kind: str
    api_version: str
    request: _Request


_DECODER = msgspec.json.Decoder(_Review)


def allowance(body: bytes) -> bytes | None:
    """The answer that allows what a review asks for; `None` of what is no review.

    Args:
        body: of the request, or only its beginning.
    """
    head = _HEAD.match(body)
    if head is not None:
        return _allowed(head[1].decode(), head[2].decode())
    review = _review(body)
    return _allowed(review.api_version, review.request.uid) if review else None


def told_of_review(body: bytes) -> Told | None:
    """What a review tells: `admission.create` and the like, and its uid; `None` of what is no review."""
    review = _review(body)
    return Told(f"admission.{review.request.operation.lower()}", review.request.uid) if review else None


def _review(body: bytes) -> _Review | None:
    if b"AdmissionReview" not in body:
        return None
    try:
        review = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    known = review.kind == "AdmissionReview" and review.api_version in _VERSIONS and _UID.fullmatch(review.request.uid)
    return review if known else None


def _allowed(api_version: str, uid: str) -> bytes:
    response = {"uid": uid, "allowed": True}
    return orjson.dumps({"apiVersion": api_version, "kind": "AdmissionReview", "response": response})
