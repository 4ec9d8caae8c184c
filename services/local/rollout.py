"""What runs and what should → what to stop and what to start now. Pure.

Called again after every step, so it never plans further than one. A template's change replaces its replicas one by
one: as long as a replaced one is not ready, the others of its workload stay as they are. A replica keeps its
addresses, so the old one ends before the new one starts; a workload of one replica is away for that moment.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.contracts.names import ObjectRef


class Wanted(Struct, frozen=True, kw_only=True):
    """A workload that must run. Replicas of one owner are replaced one by one."""

    owner: ObjectRef
    fingerprint: str


class Runs(Struct, frozen=True, kw_only=True):
    """A workload that runs, as it was started."""

    owner: ObjectRef
    fingerprint: str
    ready: bool
    stopping: bool = False


class Steps(Struct, frozen=True, kw_only=True):
    """What to do now, each sorted."""

    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()


def steps(wanted: Mapping[str, Wanted], runs: Mapping[str, Runs]) -> Steps:
    """The next steps; none if all is as it should be or must be waited for."""
    gone = {id_ for id_, each in runs.items() if id_ not in wanted and not each.stopping}
    replaced = {id_ for owner in _owners(wanted.values()) if (id_ := _next_replaced(owner, wanted, runs)) is not None}
    return Steps(stop=tuple(sorted(gone | replaced)), start=tuple(sorted(wanted.keys() - runs.keys())))


def _owners(wanted: Iterable[Wanted]) -> set[ObjectRef]:
    return {each.owner for each in wanted}


def _next_replaced(owner: ObjectRef, wanted: Mapping[str, Wanted], runs: Mapping[str, Runs]) -> str | None:
    """The replica of this owner to replace now."""
    ids = sorted(id_ for id_, each in wanted.items() if each.owner == owner and id_ in runs)
    outdated = [id_ for id_ in ids if runs[id_].fingerprint != wanted[id_].fingerprint]
    if not outdated or any(runs[id_].stopping for id_ in ids):
        return None
    unready = [id_ for id_ in outdated if not runs[id_].ready]
    if unready:
        return unready[0]  # nothing is lost with it
    missing = any(id_ not in runs for id_, each in wanted.items() if each.owner == owner)
    settling = missing or any(not runs[id_].ready for id_ in ids)
    return None if settling else outdated[0]
