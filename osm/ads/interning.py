"""Interning of versions by name and of sets of names: what many streams hold alike is stored once.

A thousand proxies of a class ask for the same names and hold the same versions; with a copy each, that and not gRPC
would be most of a stream's memory in a large mesh. So both are values here: never changed once made, and equal ones
are one object. What is kept is found again by its content and let go with its last stream.
Separate because it is about memory alone; it knows nothing of the protocol.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias
from weakref import ReferenceType, WeakValueDictionary, ref

Changes: TypeAlias = tuple[tuple[str, str | None], ...]
"""Names and their new versions; None: the name is forgotten."""


class Versions(dict[str, str]):
    """Versions by name. A dict for the speed of its look-ups, but `but` makes another instead of changing it."""

    __slots__ = ("__weakref__", "_fingerprint", "_next")

    def __init__(self, versions: Mapping[str, str], fingerprint: int) -> None:
        super().__init__(versions)
        self._fingerprint = fingerprint
        self._next: tuple[Changes, ReferenceType[Versions]] | None = None

    def but(self, changes: Changes) -> "Versions":
        """These after `changes`.

        What the last to ask was told is remembered: when a change has reached one stream, the next thousand that
        acknowledge the same pay for a comparison.
        """
        if self._next is not None and self._next[0] == changes:
            found = self._next[1]()
            if found is not None:
                return found
        after = _kept(self._made(changes))
        self._next = (changes, ref(after))
        return after

    def _made(self, changes: Changes) -> "Versions":
        after = Versions(self, 0)
        fingerprint = self._fingerprint
        for name, version in changes:
            before = after.get(name)
            if before is not None:
                fingerprint ^= hash((name, before))
            if version is None:
                after.pop(name, None)
            else:
                after[name] = version
                fingerprint ^= hash((name, version))
        after._fingerprint = fingerprint  # it is one of these, not published yet
        return after


def _kept(made: Versions) -> Versions:
    """The one that is kept of this content. Two contents may have one fingerprint; then one of them is not shared."""
    found = _kept_versions.setdefault(made._fingerprint, made)  # this module's own key
    return found if found == made else made


def one_set(names: Iterable[str]) -> frozenset[str]:
    """The one set of these names that is kept."""
    made = frozenset(names)
    found = _kept_names.setdefault(hash(made), made)
    return found if found == made else made


_kept_versions: WeakValueDictionary[int, Versions] = WeakValueDictionary()
_kept_names: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()

NO_VERSIONS: Final = _kept(Versions({}, 0))
NO_NAMES: Final[frozenset[str]] = one_set(())

Few: TypeAlias = set[str] | frozenset[str]
"""Names that are on the way: NO_NAMES most of the time, for an empty set of one's own takes 216 bytes."""


def grown(few: Few, more: Iterable[str]) -> Few:
    """With more; a set that is one's own already is changed in place."""
    if isinstance(few, set):
        few.update(more)
        return few
    return {*few, *more} or NO_NAMES


def shrunk(few: Few, less: Iterable[str]) -> Few:
    """Without these. Made anew, since a set that was large once stays so."""
    if not few:
        return NO_NAMES
    return set(few.difference(less)) or NO_NAMES
