"""Sentences about references that lead nowhere: what is missing, and what there is instead.

Apart from the resolvers, so that the same mistake reads the same wherever it is made.
"""

from collections.abc import Iterable
from heapq import nsmallest

from msgspec import Struct

from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from services.catalog.known import KINDS, Reading

LISTED = 5
"""Names a sentence lists at most: enough to see a slip of the pen, short enough for one line."""


def missing(kind: type[Struct], namespace: str, name: str, read: Reading) -> str:
    """No such object, and which there are beside it."""
    there = known_names(read.names(kind, namespace))
    return f'no {KINDS[kind]} "{name}" in namespace {namespace}, {there}'


def missing_match(group: str, name: str, there: Iterable[str]) -> str:
    return f'HTTPRouteGroup "{group}" has no match "{name}", {known_names(there)}'


def unmeshed(who: Identity, read: Reading) -> str:
    """The account may exist all the same: what is missing is a workload of the mesh under it."""
    there = known_names(read.names(MeshIdentity, who.namespace))
    return f'no meshed workload runs under service account "{who.account}" in namespace {who.namespace}, {there}'


def known_names(names: Iterable[str]) -> str:
    """The first names in alphabetical order, as the end of a sentence."""
    every = set(names)
    if not every:
        return "there is none"
    first = ", ".join(nsmallest(LISTED, every))
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return f"there is {first}" if len(every) == 1 else f"there are {first}{more}"
