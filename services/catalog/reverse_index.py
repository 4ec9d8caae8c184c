"""A reverse index: which keys hold a value. It makes the effect of one change cheap to find.

Apart from what it relates, so that each relation in `reference_lookup` and `reach` is one line to keep and one to ask.
"""

from collections.abc import Hashable, Iterable
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class ReverseIndex(Generic[K, V]):
    """Key → values as they are put, value → keys as they are asked for."""

    def __init__(self) -> None:
        self._values: dict[K, frozenset[V]] = {}
        self._keys: dict[V, set[K]] = {}

    def put(self, key: K, values: Iterable[V]) -> frozenset[V]:
        """Replace the key's values (none: the key is gone); returns the values it gained or lost."""
        new = frozenset(values)
        old = self._values.get(key, frozenset())
        for value in old - new:
            keys = self._keys[value]
            keys.remove(key)
            if not keys:
                del self._keys[value]
        for value in new - old:
            self._keys.setdefault(value, set()).add(key)
        if new:
            self._values[key] = new
        else:
            self._values.pop(key, None)
        return old ^ new

    def values(self, key: K) -> frozenset[V]:
        return self._values.get(key, frozenset())

    def keys(self, value: V) -> AbstractSet[K]:
        """The keys that hold the value now: a view, not to be kept over the next `put`."""
        return self._keys.get(value, frozenset())
