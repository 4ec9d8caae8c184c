"""Go's durations, which OSM's objects are written in: `24h`, `1h30m`, `250ms`.

Apart from the kinds, because several of them have one.
"""

import re

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
