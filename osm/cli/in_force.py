"""Whether a user's object is in force everywhere: published, propagated, and refused by no proxy.

Pure. The object's status says at which revision it was published; `propagation` says how far that has come; a proxy's
refusal names the objects that the refused resource was made from.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from osm.cli.kinds import means
from osm.cli.propagation import Live, propagation
from osm.contracts.channels import OBJECT_STATUS, PROGRESS, PROXY_STATUS
from osm.contracts.names import ObjectRef
from osm.contracts.status import ObjectStatus, Progress, ProxyStatus

T = TypeVar("T", bound=Struct)


class InForce(Struct, frozen=True, kw_only=True, tag="in-force"):
    """Every connected proxy has acknowledged what came of this generation."""

    subject: ObjectRef
    generation: str
    proxies: int
    at_s: float


class Refused(Struct, frozen=True, kw_only=True, tag="refused"):
    """It will not come into force as it is written; each reason is a sentence."""

    subject: ObjectRef
    reasons: tuple[str, ...]


class NotYet(Struct, frozen=True, kw_only=True, tag="not-yet"):
    """Not yet: what is waited for, and proxies that are behind."""

    why: str
    behind: tuple[str, ...] = ()


Verdict = InForce | Refused | NotYet

Line = tuple[str, ObjectStatus]
"""The service that speaks, and its word."""


def verdict(kind: str, namespace: str, name: str, lines: Mapping[str, Struct], *, proxies: int = 0) -> Verdict:
    """`lines` are those of bucket `status` by key; `kind` as in `kinds.means`.

    `proxies`: fewer than so many connected ones are not enough, though each of them has it.
    """
    words = sorted(_words(kind, namespace, name, lines))
    own = [(service, word) for service, word in words if word.generation]
    if wrong := _reasons(own):
        return Refused(subject=own[0][1].subject, reasons=wrong)
    if not own:
        return _unread(words, f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}")
    service, word = own[0]
    found = propagation(service, word.revision, _of(lines, PROGRESS.entity, Progress))
    if not isinstance(found, Live):
        return NotYet(why=found.where, behind=found.behind)
    refused = _reasons(words) or _rejections(word.subject, _of(lines, PROXY_STATUS.entity, ProxyStatus))
    if refused:
        return Refused(subject=word.subject, reasons=refused)
    if found.proxies < proxies:
        return NotYet(why=f"at least {proxies} proxies should have it, connected are {found.proxies}")
    return InForce(subject=word.subject, generation=word.generation, proxies=found.proxies, at_s=found.at_s)


def sentence(found: InForce) -> str:
    """Where it is in force: nowhere yet is easily taken for everywhere."""
    if not found.proxies:
        return (
            f"{found.subject} is in force, but no proxy is connected that could have it (generation {found.generation})"
        )
    where = "1 proxy" if found.proxies == 1 else f"{found.proxies} proxies"
    return f"{found.subject} is in force at {where} (generation {found.generation})"


def _unread(words: list[Line], what: str) -> Verdict:
    """Only errors, or nothing at all."""
    if wrong := _reasons(words):
        return Refused(subject=words[0][1].subject, reasons=wrong)
    return NotYet(why=f"no service knows a {what} yet")


def _words(kind: str, namespace: str, name: str, lines: Mapping[str, Struct]) -> Iterable[Line]:
    for key, line in lines.items():
        parts = OBJECT_STATUS.parse(key)
        if parts is None or not isinstance(line, ObjectStatus):
            continue
        subject = line.subject
        if means(kind, subject.kind) and (subject.namespace, subject.name) == (namespace, name):
            yield parts[0], line


def _reasons(words: Iterable[Line]) -> tuple[str, ...]:
    found = {str(problem) for _, word in words for problem in word.problems if problem.severity == "error"}
    return tuple(sorted(found))


def _rejections(subject: ObjectRef, proxies: Iterable[ProxyStatus]) -> tuple[str, ...]:
    return tuple(
        f"proxy {proxy.proxy_id} rejected {', '.join(rejection.resources)}: {rejection.reason}"
        for proxy in sorted(proxies, key=lambda proxy: proxy.proxy_id)
        for rejection in proxy.rejections
        if subject in rejection.origins
    )


def _of(lines: Mapping[str, Struct], entity: str, kind: type[T]) -> list[T]:
    return [line for key, line in lines.items() if key.startswith(f"{entity}.") and isinstance(line, kind)]
