"""What to serve while some of the newest resources must not be: the newest where it may, else the last good.

Pure. A change is not all or nothing: what does not need a resource that is held back goes on. Two rules keep the mix
whole:

- whoever refers to a resource that is held back and has no older form waits with it;
- what an older form refers to stays, though the newest no longer has it; and what was put into it to take something
  back comes along, though it is not proven yet.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from osm.ads.references import Key, needs
from osm.ads.resource import Resource

Table: TypeAlias = Mapping[str, Mapping[str, Resource]]
"""Type URL → name → resource."""

Flat: TypeAlias = dict[Key, Resource]

Older: TypeAlias = Callable[[Resource, Resource | None], Resource | None]
"""The last good resource and the newest of that name, if there is one → what may be served in place of the newest."""


Verdict: TypeAlias = Callable[[Resource], bool]


def blend(newest: Flat, good: Flat, usable: Verdict, older: Older, rejected: Verdict) -> Flat:
    """The newest that are `usable` and whole, and the last good of the others as `older` will have it.

    What `older` has put into those comes with what it needs of the newest, unless that is `rejected`.
    """
    chosen = {key: resource for key, resource in newest.items() if usable(resource)}
    _let_wait(chosen, newest, good)
    kept = {key: good[key] for key in newest.keys() - chosen.keys() if key in good}
    _keep_needed(kept, chosen, newest, good)
    served = chosen
    for key, resource in kept.items():
        form = older(resource, newest.get(key))
        if form is not None:
            served[key] = form
            put_in = needs(form) - needs(resource)
            served |= {
                each: newest[each] for each in put_in & newest.keys() - served.keys() if not rejected(newest[each])
            }
    return served


def _let_wait(chosen: Flat, newest: Flat, good: Flat) -> None:
    """Take out of `chosen` who needs something that is held back without an older form."""
    while True:
        missing = {key for key in newest.keys() - chosen.keys() if key not in good}
        waits = [key for key, resource in chosen.items() if missing and not missing.isdisjoint(needs(resource))]
        if not waits:
            return
        for key in waits:
            del chosen[key]


def _keep_needed(kept: Flat, chosen: Flat, newest: Flat, good: Flat) -> None:
    """Add to `kept` what its members refer to and the newest has no more."""
    gone = good.keys() - newest.keys()
    looked_at = list(kept.values()) if gone else []
    while looked_at:
        for key in needs(looked_at.pop()) & gone:
            if key not in kept and key not in chosen:
                kept[key] = good[key]
                looked_at.append(good[key])


def flat(table: Table) -> Flat:
    return {(type_url, name): each for type_url, of_type in table.items() for name, each in of_type.items()}


def nested(resources: Flat) -> dict[str, dict[str, Resource]]:
    table: dict[str, dict[str, Resource]] = {}
    for (type_url, name), resource in resources.items():
        table.setdefault(type_url, {})[name] = resource
    return table
