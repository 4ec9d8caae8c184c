"""Sentences about references that lead nowhere: what is missing, and what there is instead.

Apart from the resolvers, so that the same mistake reads the same wherever it is made.
"""

from collections.abc import Iterable
from heapq import nsmallest

from msgspec import Struct

from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity, ObjectRef
from services.catalog.reference_lookup import ANY, KINDS, Reading

LISTED = 5
"""Names a sentence lists at most: enough to see a slip of the pen, short enough for one line."""


def missing(kind: type[Struct], namespace: str, name: str, read: Reading) -> str:
    """No such object, and which there are beside it."""
    return f'no {KINDS[kind]} "{name}" in namespace {namespace}, {_there(kind, namespace, read)}'


def missing_match(group: str, name: str, there: str) -> str:
    """`there`: the `known_names` of the group's matches."""
    return f'HTTPRouteGroup "{group}" has no match "{name}", {there}'


def unmeshed(who: Identity, read: Reading) -> str:
    """The account may exist all the same: what is missing is a workload of the mesh under it."""
    there = _there(MeshIdentity, who.namespace, read)
    return f'no meshed workload runs under service account "{who.account}" in namespace {who.namespace}, {there}'


def _there(kind: type[Struct], namespace: str, read: Reading) -> str:
    every = ObjectRef(KINDS[kind], namespace, ANY)
    if every not in read.said:
        read.said[every] = known_names(read.names(kind, namespace))
    return read.said[every]


def known_names(names: Iterable[str]) -> str:
    """The first names in alphabetical order, as the end of a sentence."""
    every = set(names)
    if not every:
        return "there is none"
    first = ", ".join(nsmallest(LISTED, every))
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return f"there is {first}" if len(every) == 1 else f"there are {first}{more}"
