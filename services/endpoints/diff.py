"""The difference between two sets of documents: puts and deletes, in the order to write them. Pure.

Shared by every platform: documents that others refer to come first, removals last and in the reverse order.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.contracts.channels import BARE, IDENTITY, SERVICE, WORKLOAD


class Change(Struct, frozen=True, kw_only=True):
    """Documents to put, those that others refer to first, and keys to delete, in reverse order."""

    puts: Mapping[str, Struct]
    deletes: tuple[str, ...] = ()


def change(before: Mapping[str, Struct], after: Mapping[str, Struct]) -> Change:
    """What turns one set of documents into the other."""
    return Change(
        puts={key: document for key, document in after.items() if before.get(key) != document},
        deletes=tuple(reversed(ordered(before.keys() - after.keys()))),
    )


def ordered(keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=lambda key: (_ORDER[key.partition(".")[0]], key))


_ORDER = {IDENTITY.entity: 0, SERVICE.entity: 1, BARE.entity: 2, WORKLOAD.entity: 3}
