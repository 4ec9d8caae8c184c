"""All that a cluster holds, kind by kind, to tell what something left behind."""

from typing import NamedTuple

from tests.cluster.node import Cluster, Failed, eventually


class Holding(NamedTuple):
    """An object; `namespace` is empty where there is none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return " ".join(part for part in self if part)


def holdings(cluster: Cluster) -> set[Holding]:
    """Every object of every kind in every namespace, but events."""
    template = '{range .items[*]}{.kind}{"|"}{.metadata.namespace}{"|"}{.metadata.name}{"\\n"}{end}'
    said = eventually(lambda: _all(cluster, template), "objects of every kind that is listed")
    return {Holding(*line.split("|")) for line in said.splitlines()}


def _all(cluster: Cluster, template: str) -> str:
    """Empty if a kind that was listed is gone by now: the API server forgets definitions that are deleted by and by."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    wanted = ",".join(sorted(kind for kind in kinds if not kind.startswith("events")))
    try:
        return cluster.kubectl("get", wanted, "--all-namespaces", f"--output=jsonpath={template}")
    except Failed:
        return ""
