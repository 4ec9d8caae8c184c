"""What an operator may watch of xds: how its proxies are, what they were sent and answered, and how streams end.

Nothing is counted here. Whoever scrapes makes it read what the fleet and the engine know anyway, so that a push costs
the same whether anybody looks or not; a look costs a walk over the proxies, some milliseconds for ten thousand.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import get_args

from osm.ads.tally import Passed, Tally
from osm.ads.types import SHORT
from osm.contracts.status import ProxyState, RolloutState
from osm.runtime.metrics import by, meter
from services.xds.lanes import TRIED_FIRST
from services.xds.overview import Overview

End = Callable[[], float | None]
"""When something ends, seconds since the epoch."""


def measure(
    overview: Overview, tally: Tally, *, slow: Callable[[], Collection[str]], certificates: Mapping[str, End]
) -> None:
    """Show them from now on, once per process. `slow`: proxies that have owed an answer for long."""
    _proxies(overview, slow)
    _changes(overview)
    _traffic(tally)
    _streams(tally)
    meter("xds").create_observable_gauge(
        "osm.xds.certificate_not_after",
        [by("kind", lambda: {kind: at for kind, end in certificates.items() if (at := end()) is not None})],
        "s",
        "when the first certificate in use ends, since the epoch: of those for workloads (leaf), and its own (control)",
    )


def _proxies(overview: Overview, slow: Callable[[], Collection[str]]) -> None:
    meter("xds").create_observable_gauge(
        "osm.xds.proxies",
        [by("state", lambda: _all(get_args(ProxyState), overview.states(slow())))],
        description="connected proxies; waiting: for more than a second",
    )


def _changes(overview: Overview) -> None:
    counts = meter("xds")
    counts.create_observable_gauge(
        "osm.xds.rollouts",
        [by("state", lambda: _all(get_args(RolloutState), Counter(each.state for each in overview.rollouts())))],
        description="classes of proxies in which a change is not everywhere",
    )
    counts.create_observable_gauge(
        "osm.xds.quarantined",
        [by("type", lambda: _short(TRIED_FIRST, Counter(each.type_url for each in overview.quarantined())))],
        description="resources that were rejected, and whose last good form is served instead",
    )


def _traffic(tally: Tally) -> None:
    counts = meter("xds")

    def of_each(field: Callable[[Passed], int]) -> Callable[[], dict[str, int]]:
        return lambda: {SHORT.get(url, url): field(passed) for url, passed in tally.by_type.items()}

    counts.create_observable_counter(
        "osm.xds.pushes", [by("type", of_each(lambda passed: passed.pushed))], description="responses sent"
    )
    counts.create_observable_counter(
        "osm.xds.pushed", [by("type", of_each(lambda passed: passed.pushed_bytes))], "By", "what was sent in responses"
    )
    counts.create_observable_counter(
        "osm.xds.acknowledgements",
        [by("type", of_each(lambda passed: passed.acknowledged))],
        description="responses that a proxy has accepted",
    )
    counts.create_observable_counter(
        "osm.xds.rejections",
        [by("type", of_each(lambda passed: passed.rejected))],
        description="responses that a proxy has rejected, those sent to find the culprit included",
    )


def _streams(tally: Tally) -> None:
    counts = meter("xds")
    counts.create_observable_counter(
        "osm.xds.streams_ended", [by("reason", lambda: tally.ended)], description="streams of proxies that have ended"
    )
    counts.create_observable_counter(
        "osm.xds.turned_away",
        [by("reason", lambda: tally.turned_away)],
        description="streams ended before they were admitted: no room, no right, no sense",
    )


def _all(names: Collection[str], found: Mapping[str, int]) -> dict[str, int]:
    """Nothing is left out for being 0."""
    return {name: found.get(name, 0) for name in names}


def _short(type_urls: Collection[str], found: Mapping[str, int]) -> dict[str, int]:
    return {SHORT[url]: number for url, number in _all(type_urls, found).items()}
