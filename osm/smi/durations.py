"""Go's durations, which OSM's objects are written in: `24h`, `1h30m`, `250ms`.

Apart from the kinds, because several of them have one.
"""

import re
from collections.abc import Iterator
from math import ceil

from osm.contracts.problem import Problem
from osm.contracts.traffic_settings import MAX_WAIT_MS
from osm.manifests import RawDocument
from osm.manifests.wording import shown

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_AMOUNT.pattern})+")
_DURATION_MAX_S = 100 * 365 * 24 * 3600


def duration_s(text: str) -> float | None:
    """A Go duration such as `24h` or `1h30m`, in seconds; None if the text is none, or longer than a century."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        return None
    seconds = sum(float(amount) * _UNITS_S[unit] for amount, unit in _AMOUNT.findall(text))
    return seconds if seconds <= _DURATION_MAX_S else None


def whole_ms(text: str | None) -> int | None:
    """None for nothing, and for what `wait_problems` complains of; 0 is nothing, too."""
    found = duration_s(text) if text else None
    return ceil(found * 1000) if found and found * 1000 <= MAX_WAIT_MS else None


def wait_problems(raw: RawDocument, field: str, text: str | None, *, or_none: bool = False) -> Iterator[Problem]:
    """Of a time to wait; `or_none`: 0 is allowed and means that there is no limit."""
    if text is None:
        return
    found = duration_s(text)
    if found is None:
        yield raw.problem(field, f"expected a duration such as 250ms or 1m30s, found {shown(text)}")
    elif found * 1000 > MAX_WAIT_MS or (found == 0 and not or_none):
        yield raw.problem(
            field,
            f"expected a duration of {'at most' if or_none else 'more than 0 and at most'} 1h, found {shown(text)}",
        )
