"""What proxies report of their traffic, as far as trials of changes need it: a few numbers for each proxy.

Pure; `now` is in seconds of any monotonic clock. A proxy that reports nothing has no entry, so that who does not want
this pays nothing for it. Proxies are known by the id of their stream.
A report tells of the second before it, which may have begun before the trial did: the first one is not counted.
"""

from collections.abc import Iterable

from services.xds.judgement import Load

HALF_LIFE_S = 30.0
"""How fast earlier traffic stops to count: what a proxy is compared with shall be how it was a minute ago."""


class _Reported:
    """One proxy's. `before` fades; what it was when the trial began is kept with the trial."""

    __slots__ = ("at", "errors", "is_new", "reference", "requests", "since")

    def __init__(self, now: float) -> None:
        self.at = now
        self.requests = 0.0
        self.errors = 0.0
        self.is_new = True
        self.reference = Load()
        self.since = Load()


class Traffic:
    """What is reported, by stream."""

    def __init__(self) -> None:
        self._of: dict[int, _Reported] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, stream_id: int) -> bool:
        """Whether it reports."""
        return stream_id in self._of

    def report(self, stream_id: int, load: Load, now: float) -> None:
        """What it has done since its last report."""
        one = self._of.get(stream_id)
        if one is None:
            one = self._of[stream_id] = _Reported(now)
        kept = 0.5 ** (max(now - one.at, 0.0) / HALF_LIFE_S)
        one.at = now
        one.requests = one.requests * kept + load.requests
        one.errors = one.errors * kept + load.errors
        if one.is_new:
            one.is_new = False
        else:
            one.since += load

    def forget(self, stream_id: int) -> None:
        self._of.pop(stream_id, None)

    def begin(self, streams: Iterable[int], *, keeps_reference: bool) -> None:
        """A trial begins. One that begins anew keeps the reference of its first beginning: the change was in force."""
        for stream_id in streams:
            one = self._of.get(stream_id)
            if one is not None:
                if not keeps_reference:
                    one.reference = Load(round(one.requests), round(one.errors))
                one.since, one.is_new = Load(), True

    def since(self, streams: Iterable[int]) -> Load:
        """All they have reported since the trial began."""
        return sum((self._of[each].since for each in streams if each in self._of), Load())

    def before(self, streams: Iterable[int]) -> Load:
        """Their traffic before the trial."""
        return sum((self._of[each].reference for each in streams if each in self._of), Load())
