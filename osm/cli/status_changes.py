"""The lines of `osm status --watch` where output is piped: what has changed since the last look.

Pure. A subject has one line; when its line differs from before it is news. Separate from the tables, which show what
is, while this tells what happened.
"""

from collections.abc import Iterable, Iterator, Mapping

from osm.contracts.problem import Problem
from osm.contracts.status import ProxyStatus, Rejection, RolloutStatus, ServiceStatus

Subject = tuple[str, ...]
"""What a line is about: its kind and its names."""

Lines = Mapping[Subject, str]

NOTHING_SAID: Lines = {}

ENDS: Mapping[str, str] = {
    "service": "no longer reports",
    "proxy": "has disconnected",
    "change": "is on all its proxies",
    "quarantine": "is lifted",
    "problem": "is settled",
}
"""What it means that a kind's line is gone."""


def lines(
    services: Iterable[ServiceStatus],
    proxies: Iterable[ProxyStatus],
    rollouts: Iterable[tuple[str, RolloutStatus]],
    found: Iterable[Problem],
) -> Lines:
    """A line for each subject. `rollouts`: with the replica of xds that tells of them."""
    told: dict[Subject, str] = {}
    for service in services:
        waits = f", waits for {', '.join(service.waiting_for)}" if service.waiting_for else ""
        told["service", service.service, service.replica] = f"is {service.state}{waits}"
    for proxy in proxies:
        told["proxy", proxy.proxy_id] = f"is {proxy.state}" + (f": {proxy.why}" if proxy.why else "")
    for replica, rollout in rollouts:
        told["change", f"for {rollout.identity}", f"at {replica}"] = rollout_line(rollout)
        for rejection in rollout.rejections:
            told["quarantine", "of " + ", ".join(rejection.resources)] = _why(rejection)
    for problem in found:
        told["problem", str(problem.subject), problem.field] = f"({problem.severity}) {problem.what}"
    return told


def news(before: Lines, now: Lines) -> Iterator[str]:
    """Sentences, sorted by subject."""
    for subject in sorted(before.keys() | now.keys()):
        line = now.get(subject, ENDS[subject[0]])
        if before.get(subject) != now.get(subject):
            yield f"{' '.join(filter(None, subject))} {line}"


def rollout_line(rollout: RolloutStatus) -> str:
    asked = f", asked first: {', '.join(rollout.canaries)}" if rollout.canaries else ""
    return f"is {rollout.state}, live on {rollout.live} of {rollout.proxies}{asked}"


def _why(rejection: Rejection) -> str:
    origins = ", ".join(map(str, rejection.origins)) or "no user's object"
    return f"(from {origins}), Envoy says: {rejection.reason}"
