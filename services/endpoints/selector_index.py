"""An index of labels and selectors: which services select a pod, and which pods a service selects.

Separate because it is the one thing here with an idea about speed: each label is an entry of an index, and a selector
is looked up by the entry that is in the fewest. Pure.
"""

from collections.abc import Mapping

Pair = tuple[str, str]


class Labelled:
    """Names of pods by their labels."""

    def __init__(self) -> None:
        self._labels: dict[str, Mapping[str, str]] = {}
        self._names: dict[Pair, set[str]] = {}

    def put(self, name: str, labels: Mapping[str, str] | None) -> None:
        """None: it is gone."""
        for pair in self._labels.pop(name, {}).items():
            _remove(self._names, pair, name)
        if labels is not None:
            self._labels[name] = labels
            for pair in labels.items():
                self._names.setdefault(pair, set()).add(name)

    def selected(self, selector: Mapping[str, str]) -> set[str]:
        """Names whose labels hold all of the selector's; an empty selector selects nothing, as in Kubernetes."""
        if not selector:
            return set()
        fewest = min((self._names.get(pair, set()) for pair in selector.items()), key=len)
        return {name for name in fewest if selector.items() <= self._labels[name].items()}


class Selectors:
    """Names of services by what they select."""

    def __init__(self) -> None:
        self._selectors: dict[str, Mapping[str, str]] = {}
        self._names: dict[Pair, set[str]] = {}

    def put(self, name: str, selector: Mapping[str, str] | None) -> None:
        """None or empty: it selects nothing."""
        old = self._selectors.pop(name, None)
        if old:
            _remove(self._names, _longest(old), name)
        if selector:
            self._selectors[name] = selector
            self._names.setdefault(_longest(selector), set()).add(name)

    def matching(self, labels: Mapping[str, str]) -> set[str]:
        """Names of the services that select these labels."""
        return {
            name
            for pair in labels.items()
            for name in self._names.get(pair, ())
            if self._selectors[name].items() <= labels.items()
        }


def _longest(selector: Mapping[str, str]) -> Pair:
    """The pair under which a selector is filed: a longer value is likelier to be rare than `app: web`."""
    return max(selector.items(), key=lambda pair: (len(pair[1]), pair))


def _remove(index: dict[Pair, set[str]], pair: Pair, name: str) -> None:
    names = index[pair]
    names.discard(name)
    if not names:
        del index[pair]
