"""One step of a verification, with the steps inside it; and its text, in OSM's form."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Status = Literal["Success", "Failure", "Unknown"]

LINE = "-" * 45


class Result(Struct, frozen=True, kw_only=True):
    """`context`: what was verified; `reason` and `suggestion` say why it failed and what to do."""

    context: str
    status: Status = "Success"
    reason: str = ""
    suggestion: str = ""
    nested: tuple["Result", ...] = ()


def failed(context: str, reason: str, suggestion: str = "") -> Result:
    return Result(context=context, status="Failure", reason=reason, suggestion=suggestion)


def unknown(context: str, reason: str, suggestion: str = "") -> Result:
    """It could not be looked at."""
    return Result(context=context, status="Unknown", reason=reason, suggestion=suggestion)


def whole(context: str, steps: Iterator[Result]) -> Result:
    """What its steps together say: it fails with any that fails, else is unknown with any that is."""
    nested = tuple(steps)
    if any(step.status == "Failure" for step in nested):
        return Result(
            context=context,
            status="Failure",
            reason="A verification step failed",
            suggestion="Please follow the suggestions listed in the failed steps below to resolve the issue",
            nested=nested,
        )
    if any(step.status == "Unknown" for step in nested):
        reason = "A verification step could not be taken"
        return Result(context=context, status="Unknown", reason=reason, nested=nested)
    return Result(context=context, nested=nested)


def text(result: Result, *, every: bool = False) -> Iterator[str]:
    """Its lines. Steps are shown where they failed, as in OSM; with `every`, all of them."""
    yield LINE
    yield from _lines(result, 1, every=every)
    yield LINE


def _lines(result: Result, depth: int, *, every: bool) -> Iterator[str]:
    yield f"[{'+' * depth}] Context: {result.context}"
    yield f"Status: {result.status}"
    if result.reason:
        yield f"Reason: {result.reason}"
    if result.suggestion:
        yield f"Suggestion: {result.suggestion}"
    if every or result.status != "Success":
        for step in result.nested:
            yield ""
            yield from _lines(step, depth + 1, every=every)
