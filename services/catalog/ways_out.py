"""Which Egress policies let an identity out, and which of them share a source.

Apart from `egress`, which says what one policy comes to: here is what has come of all of them, kept so that a change
of one is a question to those alone that speak of the same identities.
"""

from collections.abc import Iterable

from osm.contracts.egress import Egress, EgressGrant
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem
from services.catalog.egress import crossing
from services.catalog.reverse_index import ReverseIndex


class WaysOut:
    """Policies by reference, with what they grant to each of their sources."""

    def __init__(self) -> None:
        self._policies: dict[ObjectRef, Egress] = {}
        self._grants: dict[ObjectRef, tuple[EgressGrant, ...]] = {}
        self._problems: dict[ObjectRef, tuple[Problem, ...]] = {}
        self._sources: ReverseIndex[ObjectRef, Identity] = ReverseIndex()

    def grant(
        self, ref: ObjectRef, policy: Egress | None, grants: tuple[EgressGrant, ...], problems: tuple[Problem, ...]
    ) -> frozenset[Identity]:
        """A policy now grants this, with these problems of its own; None if it is gone.

        Returns every identity that it speaks of, or did.
        """
        before = self._sources.values(ref)
        self._sources.put(ref, policy.sources if policy else ())
        if policy is None:
            for kept in (self._policies, self._grants, self._problems):
                kept.pop(ref, None)
        else:
            self._policies[ref], self._grants[ref], self._problems[ref] = policy, grants, problems
        return before | self._sources.values(ref)

    def of(self, identity: Identity) -> tuple[EgressGrant, ...]:
        """In the order of the policies' names."""
        return tuple(grant for ref in sorted(self._sources.keys(identity)) for grant in self._grants[ref])

    def problems(self, identities: Iterable[Identity]) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Those of every policy that speaks of any of these, what others change in its meaning included."""
        refs = {ref for identity in identities for ref in self._sources.keys(identity)}
        return {ref: (*self._problems[ref], *self._crossing(ref)) for ref in refs}

    def _crossing(self, ref: ObjectRef) -> tuple[Problem, ...]:
        together = {other for source in self._sources.values(ref) for other in self._sources.keys(source)}
        return crossing(self._policies[ref], (self._policies[other] for other in together))
