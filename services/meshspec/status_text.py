"""The text of a policy's status and Event, which `kubectl describe` shows its author. Pure.

OSM's words, `committed` and `error`, and a reason in ours. Nothing is said twice: what stands there is left alone.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Literal

from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem, Severity
from services.meshspec.cluster_state import Standing
from services.meshspec.state import Picture

MOST_WORDS = 1000
"""Of a reason: an Event takes 1024."""

IN_FORCE = "in force"
LAST_GOOD = "what it said before stays in force"

Event = Literal["Accepted", "Doubtful", "Invalid"]
"""An Event's reason."""


class StatusText(Struct, frozen=True, kw_only=True):
    """What is to be said of an object. `event` is the reason of the Event, and `warning` its type."""

    current: Literal["committed", "error"]
    reason: str
    event: Event

    @property
    def warning(self) -> bool:
        return self.event != "Accepted"


class Due(Struct, frozen=True, kw_only=True):
    """What is to be written at an object: its status, and an Event if the word is new."""

    word: StatusText
    status: Mapping[str, str | int]
    news: bool


def status_text(picture: Picture, others: Iterable[Problem] = ()) -> Mapping[ObjectRef, StatusText]:
    """A word for every object that counts; `others` are problems that other services found."""
    own = _by_subject((*picture.found.problems, *picture.problems))
    found = _by_subject(others)
    return {
        ref: _word(own.get(ref, set()), found.get(ref, set()), last_good=kept.good is not None)
        for ref, kept in sorted(picture.found.kept.items())
    }


def due(word: StatusText, standing: Standing) -> Due | None:
    """What is to be written; None if it stands there already."""
    news = (standing.current, standing.reason) != (word.current, word.reason)
    if not news and standing.observed == standing.generation:
        return None
    status: dict[str, str | int] = {
        "currentStatus": word.current,
        "reason": word.reason,
        "observedGeneration": standing.generation,
    }
    return Due(word=word, status=status, news=news)


def _by_subject(problems: Iterable[Problem]) -> Mapping[ObjectRef, set[Problem]]:
    found: dict[ObjectRef, set[Problem]] = {}
    for each in problems:
        if each.subject is not None:
            found.setdefault(each.subject, set()).add(each)
    return found


def _word(own: Set[Problem], others: Set[Problem], *, last_good: bool) -> StatusText:
    errors, warnings = _sentences(own | others, "error"), _sentences(own | others, "warning")
    if not errors:
        event: Event = "Doubtful" if warnings else "Accepted"
        return StatusText(current="committed", reason=_cut("; ".join(warnings) or IN_FORCE), event=event)
    if last_good and _sentences(own, "error"):
        errors.append(LAST_GOOD)
    return StatusText(current="error", reason=_cut("; ".join(errors)), event="Invalid")


def _sentences(problems: Set[Problem], severity: Severity) -> list[str]:
    """Without repetitions: two services may find the same."""
    found = sorted((each.field, each.what) for each in problems if each.severity == severity)
    return list(dict.fromkeys(f"{field}: {what}" if field else what for field, what in found))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_WORDS else f"{text[: MOST_WORDS - 1]}…"
