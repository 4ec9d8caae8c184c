"""`osm metrics`: whether Prometheus finds the sidecars of a namespace."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from osm.cli.kubernetes.cluster import all_of, look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.output import CommandError, stdout
from osm.cli.run_async import run
from osm.contracts import labels
from osm.envoy.ports import METRICS
from osm.k8s.objects import Namespace
from osm.k8s.resource import NAMESPACES, PODS

app = typer.Typer(no_args_is_help=True, help="Whether Prometheus finds the sidecars of a namespace.")

METRICS_PATH = "/stats/prometheus"
NamespacesOption = Annotated[
    list[str], typer.Option("--namespace", help="Namespaces of a mesh, separated by commas; may be repeated.")
]


@app.command("enable")
@on_cluster
def enable(namespaces: NamespacesOption, *, where: ClusterOptions) -> None:
    """Have sidecars scraped: those that run, and those of pods to come.

    Example: osm metrics enable --namespace bookstore,bookbuyer
    """
    run(_set(where, split(namespaces), on=True))


@app.command("disable")
@on_cluster
def disable(namespaces: NamespacesOption, *, where: ClusterOptions) -> None:
    """Have sidecars scraped no more.

    Example: osm metrics disable --namespace bookstore
    """
    run(_set(where, split(namespaces), on=False))


def split(given: list[str]) -> list[str]:
    """`a,b` and repeated options mean the same. Raises typer.BadParameter if they name none."""
    names = list(dict.fromkeys(name for each in given for name in each.split(",") if name))
    if not names:
        raise typer.BadParameter(
            f"found {','.join(given)!r}; allowed are names of namespaces", param_hint="--namespace"
        )
    return names


async def _set(where: ClusterOptions, namespaces: list[str], *, on: bool) -> None:
    async with opened(where) as cluster:
        for name in namespaces:
            namespace = await look_up(cluster, NAMESPACES, name, as_=Namespace)
            if namespace is None or labels.MONITORED_BY not in namespace.metadata.labels:
                raise CommandError(f"Namespace [{name}] does not belong to a mesh", remedy=f"osm namespace add {name}")
            await cluster.patch(NAMESPACES, name, annotated({labels.METRICS: "enabled"}, on=on))
            for pod in await all_of(cluster, PODS, name, as_=Pod, labels=labels.PROXY_UUID):
                await cluster.patch(PODS, pod.metadata.name, annotated(scraped(), on=on), name)
            stdout.print(f"Metrics successfully {'enabled' if on else 'disabled'} in namespace [{name}]", markup=False)


def scraped() -> Mapping[str, str]:
    """What Prometheus' usual configuration looks for on a pod."""
    return {labels.SCRAPE: "true", labels.SCRAPE_PORT: str(METRICS), labels.SCRAPE_PATH: METRICS_PATH}


def annotated(annotations: Mapping[str, str], *, on: bool) -> Mapping[str, Any]:
    """The merge patch that sets annotations, or removes them."""
    return {"metadata": {"annotations": {key: value if on else None for key, value in annotations.items()}}}
