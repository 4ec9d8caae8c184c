"""Which loopback addresses each workload has: one for the app, the next for its sidecar. Pure.

A workload's place is the hash of its id, or the next free one. Places in use are passed back in and stay, so no edit of
one workload moves another; after a restart of the agent the places are the same again, except where two ids
collided and one of them has gone since.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

SLOTS = 2**15 - 2
"""Pairs of addresses in a /16, without the first (x.x.0.1 is the control plane's) and the last."""


class BlockFull(Exception):
    """More workloads than pairs of addresses."""


def slots(ids: Iterable[str], in_use: Mapping[str, int]) -> dict[str, int]:
    """A place for each id. `in_use` are the places of those that run. Raises BlockFull."""
    wanted = sorted(set(ids))
    given = {id_: in_use[id_] for id_ in wanted if id_ in in_use}
    taken = set(in_use.values())
    for id_ in wanted:
        if id_ in given:
            continue
        if len(taken) >= SLOTS:
            raise BlockFull(f"more than {SLOTS} workloads on this machine")
        slot = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8]) % SLOTS
        while slot in taken:
            slot = (slot + 1) % SLOTS
        taken.add(slot)
        given[id_] = slot
    return given


def app_host(block: int, slot: int) -> str:
    """Where the app of this place listens: 127.<block>.x.<even>."""
    return _host(block, 2 * (slot + 1))


def sidecar_host(block: int, slot: int) -> str:
    """Where its sidecar listens: the address after the app's."""
    return _host(block, 2 * (slot + 1) + 1)


def slot_of(block: int, sidecar: str) -> int | None:
    """The place that has this sidecar's address; None if it is of no place of this block."""
    try:
        found = ipaddress.IPv4Address(sidecar)
    except ValueError:
        return None
    slot = ((int(found) & 0xFFFF) - 1) // 2 - 1
    return slot if 0 <= slot < SLOTS and sidecar_host(block, slot) == sidecar else None


def _host(block: int, number: int) -> str:
    return f"127.{block}.{number >> 8}.{number & 255}"
