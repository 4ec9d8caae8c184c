"""Makes a cluster's definitions (CRDs) those of a chart, as far as they are ours to change.

Apart from `definitions`, which decides: here is the API server. All are judged before the first is touched.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from osm.cli.kubernetes.cluster import all_of
from osm.cli.kubernetes.definitions import Definition, Verdict, judge
from osm.cli.output import CommandError, stderr
from osm.k8s.errors import Busy, Conflict, NotFound
from osm.k8s.objects import Object
from osm.k8s.resource import CRDS, Resource
from osm.manifests.folder import scan

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

SERVED_WITHIN_S = 60.0
"""An API server serves a new definition within a second or two; one that is starved takes longer."""

LOOK_EVERY_S = 0.2

TRIES = 5
"""At a definition that has changed since it was read: the API server writes a status a moment after the rest."""

Body = Mapping[str, Any]


def bodies(chart: Path) -> tuple[Body, ...]:
    """The chart's definitions as they are written, by name. Raises CommandError if one cannot be read."""
    scanned = scan(chart / "crds")
    for problem in scanned.problems:
        raise CommandError(str(problem), remedy="take the chart inside this CLI, without --osm-chart-path")
    return tuple(raw.body for raw in sorted(scanned.documents, key=lambda raw: raw.name))


def wanted(chart: Path) -> tuple[Definition, ...]:
    """The chart's definitions, by name."""
    return tuple(_read(body) for body in bodies(chart))


async def define(cluster: "Cluster", chart: Path) -> None:
    """Make what is missing, bring up to date what is ours, and wait until it is served.

    Raises CommandError, and has changed nothing, if a definition is neither ours to change nor will do; ApiError.
    """
    there = {each.metadata.name: each for each in await all_of(cluster, CRDS, as_=Definition)}
    judged = [(body, judge(there.get(body["metadata"]["name"]), _read(body))) for body in bodies(chart)]
    _refuse([verdict for _, verdict in judged])
    changed = [_read(body).kind for body, verdict in judged if await _done(cluster, body, verdict)]
    try:
        async with asyncio.timeout(SERVED_WITHIN_S):
            for kind in changed:
                await _until_served(cluster, kind)
    except TimeoutError:
        what = f"the API server does not serve its new definitions within {SERVED_WITHIN_S:g} s"
        raise CommandError(what, remedy="the same command again") from None


def _refuse(verdicts: list[Verdict]) -> None:
    refused = [each for each in verdicts if each.step == "refuse"]
    if refused:
        remedies = dict.fromkeys(each.remedy for each in refused)
        raise CommandError("; ".join(each.what for each in refused), remedy="\n       ".join(remedies))


async def _done(cluster: "Cluster", body: Body, verdict: Verdict) -> bool:
    """Do what was decided; whether that changed what the API server serves."""
    match verdict.step:
        case "make":
            await cluster.create(CRDS, body)
            return True
        case "update":
            if not await _renewed(cluster, verdict.name, body):
                return False
            stderr.print(f"CRD {verdict.name} is brought up to date; its objects stay", markup=False)
            return True
        case _:
            return False


async def _renewed(cluster: "Cluster", name: str, body: Body) -> bool:
    """Whether that changed it. Raises ApiError."""
    for tries_left in reversed(range(TRIES)):
        before = await cluster.get(CRDS, name, as_=dict[str, Any])
        try:
            after = await cluster.replace(CRDS, renewed(before, body))
        except Conflict:
            if not tries_left:
                raise
        else:
            changed: bool = before["metadata"]["generation"] != after["metadata"]["generation"]
            return changed
    raise AssertionError("unreachable: the last try returns or raises")


def renewed(before: Body, body: Body) -> Body:
    """The chart's spec as a whole, a conversion by a webhook of OSM's that is gone left out; others' marks stay."""
    was, new = before["metadata"], body["metadata"]
    marks = {**was.get("labels", {}), **new.get("labels", {})}
    return {**body, "metadata": {**was, "labels": marks}}


async def _until_served(cluster: "Cluster", kind: Resource) -> None:
    while True:
        try:
            await cluster.list(kind, as_=Object, fields="metadata.name=nobody")
        except (NotFound, Busy):
            await asyncio.sleep(LOOK_EVERY_S)
        else:
            return


def _read(body: Body) -> Definition:
    return msgspec.convert(body, Definition)
