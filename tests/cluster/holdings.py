"""All that a cluster holds, kind by kind, to tell what something left behind."""

from typing import NamedTuple

from tests.cluster.node import Cluster


class Holding(NamedTuple):
    """An object; `namespace` is empty where there is none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return " ".join(part for part in self if part)


def holdings(cluster: Cluster) -> set[Holding]:
    """Every object of every kind in every namespace, but events."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    wanted = ",".join(sorted(kind for kind in kinds if not kind.startswith("events")))
    template = '{range .items[*]}{.kind}{"|"}{.metadata.namespace}{"|"}{.metadata.name}{"\\n"}{end}'
    said = cluster.kubectl("get", wanted, "--all-namespaces", f"--output=jsonpath={template}")
    return {Holding(*line.split("|")) for line in said.splitlines()}
