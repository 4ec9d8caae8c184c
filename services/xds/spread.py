"""What status lines say of changes that are not everywhere: how far they have spread, and what was rejected and why.

Pure. A class of which everything is live and nothing is rejected has nothing to say.
"""

from collections.abc import Callable, Iterable, Mapping

from osm.ads.rollout import Rollout
from osm.ads.types import SHORT
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem, first
from osm.contracts.quarantine import BY_TRAFFIC, RejectedResource
from osm.contracts.status import ObjectStatus, Rejection, RolloutStatus
from services.xds.listed import listed

FIELDS: Mapping[str, str] = {
    "Telemetry": "spec.accessLog.format",
    "TrafficTarget": "spec.rules",
    "TrafficSplit": "spec.backends",
}
"""What of an object of a kind ends up in the resources made from it."""


def rollout_status(
    identity: Identity,
    rollout: Rollout,
    rejected: Iterable[RejectedResource],
    *,
    is_behind: Callable[[int], bool],
    proxy_of: Callable[[int], str],
) -> RolloutStatus | None:
    """None if there is nothing to say: a small class is all canaries, and its proxies say themselves how they are."""
    rejections = rejections_of(rejected)
    late = sum(map(is_behind, rollout.group.members))
    waits = rollout.group.others if rollout.pending else 0
    if not rejections and not waits and not (late and rollout.group.others):
        return None
    held = sum(map(is_behind, rollout.group.canaries)) if waits else late
    return RolloutStatus(
        identity=identity,
        state="stalled"
        if waits and rollout.is_stalled
        else "canary"
        if waits
        else "spreading"
        if late and rollout.group.others
        else "quarantined",
        proxies=rollout.group.size,
        live=max(rollout.group.size - waits - held, 0),
        canaries=tuple(map(proxy_of, rollout.group.canaries)) if waits else (),
        rejections=rejections,
    )


def rejections_of(rejected: Iterable[RejectedResource]) -> tuple[Rejection, ...]:
    return listed(
        [
            Rejection(type_url=each.type_url, resources=(each.name,), reason=each.reason, origins=each.origins)
            for each in rejected
        ]
    )


def words_on_objects(rejected: Iterable[RejectedResource]) -> dict[ObjectRef, ObjectStatus]:
    """For each object of a user that a standing rejection names: which field, and what Envoy or its traffic says."""
    problems: dict[ObjectRef, set[Problem]] = {}
    for each in rejected:
        kind = SHORT.get(each.type_url, each.type_url)
        said = (
            f"traffic speaks against what this makes of {kind} {each.name}"
            if each.proxy_id == BY_TRAFFIC
            else f"Envoy rejects what this makes of {kind} {each.name}, first on proxy {each.proxy_id}"
        )
        for origin in each.origins:
            what = f"{said}: {each.reason}; the last good form stays in force, without what has been taken back since"
            problem = Problem(subject=origin, field=FIELDS.get(origin.kind, "spec"), what=what)
            problems.setdefault(origin, set()).add(problem)
    return {
        origin: ObjectStatus(subject=origin, problems=first(sorted(found)))
        for origin, found in sorted(problems.items())
    }
