"""AdmissionReview v1: what the API server asks and what it is told (`admission.k8s.io/v1`). Pure.

Apart from what is decided, because mutating and validating ask and answer in the same form.
"""

import base64
from typing import Any

import msgspec
from msgspec import Raw, Struct

MAX_REVIEW_BYTES = 3 * 1024 * 1024
"""etcd stores objects of up to 1.5 MiB; an update's review holds two of them."""

MAX_WARNINGS = 10
MAX_WARNING_CHARS = 256
"""What the API server promises to pass on whole ("Dynamic Admission Control", warnings)."""

API_VERSION = "admission.k8s.io/v1"

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What the decoder raises for what is no JSON of ours: text nested too deep, or not in UTF-8, has errors of its own."""


class NotAReview(ValueError):
    """The message says what was found and what is expected."""


class Kind(Struct, frozen=True, kw_only=True):
    """Which kind in which version."""

    group: str = ""
    version: str = ""
    kind: str = ""


class Request(Struct, frozen=True, kw_only=True, rename="camel"):
    """One question; `object` and `old_object` are JSON, null where there is none."""

    uid: str
    kind: Kind
    operation: str
    namespace: str = ""
    name: str = ""
    dry_run: bool | None = None
    object: Raw = Raw(b"null")
    old_object: Raw = Raw(b"null")


class _Review(Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    request: Request | None = None


class Op(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a JSON patch (RFC 6902)."""

    op: str
    path: str
    value: Any = None


class Answer(Struct, frozen=True, kw_only=True):
    """`why` is told to whoever made the object if it is not `allowed`, `warnings` in any case."""

    allowed: bool
    why: str = ""
    code: int = 403
    patch: tuple[Op, ...] = ()
    warnings: tuple[str, ...] = ()


def read(body: bytes) -> Request:
    """Raises NotAReview."""
    try:
        review = msgspec.json.decode(body, type=_Review)
    except UNREADABLE as error:
        raise NotAReview(f"expected an AdmissionReview of {API_VERSION}: {error}") from error
    if (review.api_version, review.kind) != (API_VERSION, "AdmissionReview"):
        raise NotAReview(f"expected an AdmissionReview of {API_VERSION}, found {review.kind} of {review.api_version}")
    if review.request is None:
        raise NotAReview("expected a request in the AdmissionReview, found none")
    return review.request


def write(uid: str, answer: Answer) -> bytes:
    """The review that is the answer."""
    response: dict[str, Any] = {"uid": uid, "allowed": answer.allowed}
    if not answer.allowed:
        response["status"] = {"code": answer.code, "message": answer.why}
    if answer.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(answer.patch)).decode()
    if answer.warnings:
        response["warnings"] = [_short(warning) for warning in answer.warnings[:MAX_WARNINGS]]
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})


def _short(warning: str) -> str:
    return warning if len(warning) <= MAX_WARNING_CHARS else f"{warning[: MAX_WARNING_CHARS - 1]}…"
