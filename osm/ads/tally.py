"""What has passed between an engine and its streams since it began, in plain integers.

A push costs some microseconds, so counting it may cost a fraction of one: nothing here knows of a metric or a clock,
and whoever exports the numbers reads them when asked.
"""

from collections import Counter
from typing import Final

from osm.ads.ending import KINDS
from osm.ads.types import SHORT

OTHER: Final = "other"
"""Under which all types are counted that we do not serve: who asks for them shall not make up numbers to keep."""


class Passed:
    """Of one type. `rejected` counts answers: one that leaves the culprit open is one too."""

    __slots__ = ("acknowledged", "pushed", "pushed_bytes", "rejected")

    def __init__(self) -> None:
        self.pushed = 0
        self.pushed_bytes = 0
        self.acknowledged = 0
        self.rejected = 0


class _ByType(dict[str, Passed]):
    def __missing__(self, type_url: str) -> Passed:
        return self[OTHER]


class Tally:
    """`by_type` is asked by type URL. Streams that ended are counted by how: `ended` of proxies that had been admitted,
    `turned_away` before that."""

    def __init__(self) -> None:
        self.by_type = _ByType({type_url: Passed() for type_url in (*SHORT, OTHER)})
        self.ended: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self.turned_away: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
