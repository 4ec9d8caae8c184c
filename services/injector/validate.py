"""Validates a policy object before it is stored, as `meshspec` would judge it afterwards. Pure.

The same code reads it (`osm.smi`), so nothing is refused here that would be in force, and the other way round. A user
is never locked out: deletions are not asked about, an object that is wrong already may be edited in every other part
(its labels, its finalizers), and of kinds we do not know nothing is said.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.smi import is_policy, parse
from services.injector.review import UNREADABLE, Answer, NotAReview, Request

UNPROCESSABLE = 422


def validate(request: Request) -> Answer:
    """Raises NotAReview."""
    if request.operation not in ("CREATE", "UPDATE"):
        return Answer(allowed=True)
    body = _body(request.object)
    raw = RawDocument(
        kind=request.kind.kind,
        api_version=f"{request.kind.group}/{request.kind.version}" if request.kind.group else request.kind.version,
        namespace=request.namespace,
        name=request.name,
        body=body,
    )
    if not is_policy(raw):
        return Answer(allowed=True)
    problems = parse(raw).problems
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors or _untouched(body, request):
        return Answer(allowed=True, warnings=tuple(map(_sentence, problems)))
    return Answer(
        allowed=False,
        code=UNPROCESSABLE,
        why=f"{raw.ref}: {'; '.join(map(_sentence, errors))}",
        warnings=tuple(_sentence(problem) for problem in problems if problem.severity == "warning"),
    )


def _untouched(body: Mapping[str, Any], request: Request) -> bool:
    """Whether an edit leaves alone what is judged, or is of an object that is on its way out."""
    if request.operation != "UPDATE":
        return False
    going = (body.get("metadata") or {}).get("deletionTimestamp") is not None
    judged = ("spec", "matches")
    before = _body(request.old_object)
    return going or all(body.get(field) == before.get(field) for field in judged)


def _body(raw: msgspec.Raw) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except UNREADABLE as error:
        raise NotAReview(f"request.object: expected an object: {error}") from error


def _sentence(problem: Problem) -> str:
    return f"{problem.field}: {problem.what}" if problem.field else problem.what
