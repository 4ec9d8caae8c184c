"""What a proxy has refused and is still offered: Envoy's no stands until the resource is another one or gone.

Pure. Apart from the fleet, because of what an acknowledgement does not say: a proxy that takes the rest of its
configuration has not changed its mind, and one that is offered again what it holds is sent nothing to acknowledge.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.ads.resource import Resource
from osm.contracts.names import ObjectRef
from osm.contracts.status import Rejection
from services.xds.listed import listed

Name = tuple[str, str]
"""Type URL and resource name."""


class Refusal(Struct, frozen=True, kw_only=True):
    """One resource that was refused, and why in Envoy's words."""

    resource: Resource
    reason: str


Refusals = Mapping[Name, Refusal]


def refused(before: Refusals, resources: Iterable[Resource], reason: str) -> Refusals:
    """The refusals after one more."""
    return {**before, **{(each.type_url, each.name): Refusal(resource=each, reason=reason) for each in resources}}


def standing(refusals: Refusals, offered: Mapping[str, Mapping[str, Resource]]) -> Refusals:
    """Those whose resource is still offered as it was when it was refused, and what it is made from by now."""
    return {
        name: refusal if now is refusal.resource else Refusal(resource=now, reason=refusal.reason)
        for name, refusal in refusals.items()
        if (now := offered.get(name[0], {}).get(name[1])) is not None and now.version == refusal.resource.version
    }


def told(refusals: Refusals) -> tuple[Rejection, ...]:
    """As status lines say it: what was refused for one reason is one rejection."""
    together: dict[tuple[str, str], list[Resource]] = {}
    for (type_url, _), refusal in sorted(refusals.items()):
        together.setdefault((type_url, refusal.reason), []).append(refusal.resource)
    return listed(
        [
            Rejection(
                type_url=type_url,
                resources=tuple(resource.name for resource in resources),
                reason=reason,
                origins=tuple(
                    sorted({ref for resource in resources for ref in resource.origins if isinstance(ref, ObjectRef)})
                ),
            )
            for (type_url, reason), resources in together.items()
        ]
    )
