"""Pages of a pod's Envoy: the read-only door to its admin interface, through a port that kubectl forwards."""

import asyncio
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable
from urllib.parse import quote

from osm.cli.kubernetes.cluster import look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.forward import ANYWHERE, forwarded
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.output import CommandError
from osm.envoy.ports import ADMIN
from osm.k8s.resource import PODS

TIMEOUT_S = 15.0
"""For one page: a config dump of a large mesh has some megabytes, over a forwarded port."""

_EXCERPT_CHARS = 200

_OF_A_PATH = "/?&=%:,$^*+|()[]"
"""What is left as it is of a page's path: what divides it, and what a filter on names is made of."""


def path_of(query: str, names: str = "") -> str:
    """The page of Envoy that a query means: our own words for some, Envoy's path for any other. `names`: for stats."""
    from osm.envoy.admin import PATHS  # noqa: PLC0415  # it loads an HTTP client

    path = PATHS.get(query, f"/{quote(query.lstrip('/'), safe=_OF_A_PATH)}")
    return f"{path}{'&' if '?' in path else '?'}filter={quote(names)}" if names else path


async def page(
    where: ClusterOptions, namespace: str, pod: str, query: str, *, names: str = "", local_port: int = ANYWHERE
) -> str:
    """What the pod's Envoy answers. Raises CommandError if there is no such pod, or it has no sidecar."""
    async with opened(where) as cluster:
        found = await look_up(cluster, PODS, pod, namespace, as_=Pod)
    if found is None:
        raise CommandError(
            f"there is no pod [{pod}] in namespace [{namespace}]", remedy=f"kubectl get pods -n {namespace}"
        )
    require_sidecar(found)
    async with forwarded(where, namespace, f"pod/{pod}", ADMIN, local_port) as port:
        return await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}{path_of(query, names)}", query)


async def pages(where: ClusterOptions, pod: Pod, queries: Iterable[str]) -> dict[str, str]:
    """Several pages through one forwarded port; a page that is not answered says why. Raises CommandError."""
    answers: dict[str, str] = {}
    async with forwarded(where, pod.metadata.namespace, f"pod/{pod.metadata.name}", ADMIN) as port:
        for query in queries:
            try:
                answers[query] = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}{path_of(query)}", query)
            except CommandError as error:
                answers[query] = f"cannot be read: {error}\n"
    return answers


def require_sidecar(pod: Pod) -> None:
    """Raises CommandError if the pod is not in a mesh."""
    if not pod.meshed:
        raise CommandError(
            f"Pod [{pod.metadata.name}] in namespace [{pod.metadata.namespace}] is not part of a mesh",
            remedy=f"osm namespace add {pod.metadata.namespace}, then restart it",
        )


def fetch(url: str, query: str) -> str:
    """The page's text. Blocks. Raises CommandError."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  # a loopback URL of our own
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        said = error.read(_EXCERPT_CHARS).decode(errors="replace").strip()
        if error.code == 404 and "resource=" in url:  # Envoy's word for none of them
            return '{"configs": []}'
        raise CommandError(
            f"Envoy answered {error.code} to {query}: {said}", remedy="osm proxy get --help lists the pages"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"no answer from the sidecar: {error}", remedy="is the pod ready? osm check") from error
    return body.decode(errors="replace")
