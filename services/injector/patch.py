"""From a pod that shall have a sidecar to the steps that give it one. Pure.

Apart from the decision, which says whether; here is how. What the pod already has stays: only probes are changed, and
everything else is added. Nothing in a patch is secret, for whoever asks is told.
"""

import msgspec
from msgspec import Struct

from osm.contracts import labels
from osm.contracts.policy import Injection, Mesh
from osm.envoy.ports import METRICS
from osm.envoy.redirect import Redirect
from services.injector import names
from services.injector.containers import Image, PullPolicy, Sidecar, init_container, sidecar_container
from services.injector.pod import Pod
from services.injector.probes import Rewrite, ops
from services.injector.review import Op


class House(Struct, frozen=True, kw_only=True):
    """What is the same for all pods: this installation and its cluster."""

    envoy_image: str
    init_image: str
    pull_policy: PullPolicy
    concurrency: int
    drain_s: int
    native: bool
    kubernetes: tuple[int, int]


class Injected(Struct, frozen=True, kw_only=True):
    """What this pod is to become."""

    uuid: str
    mesh: str
    namespace: str
    redirect: Redirect
    rewrites: tuple[Rewrite, ...]
    metrics: bool
    native: bool


def patch(pod: Pod, wanted: Injected, mesh: Mesh, house: House) -> tuple[Op, ...]:
    """Probes first: they are found by the places that containers have now."""
    return (
        *(op for rewrite in wanted.rewrites for op in ops(rewrite)),
        *_annotations(pod, wanted),
        *_mapping("/metadata/labels", pod.metadata.labels, {labels.PROXY_UUID: wanted.uuid}),
        *_volumes(pod, wanted),
        *_containers(pod, wanted, mesh, house),
    )


def renamed(pod: Pod, volume: int, uuid: str, mesh: str) -> tuple[Op, ...]:
    """Another id, and so another Secret; everything else of a copy is as it was."""
    return (
        *_mapping("/metadata/annotations", pod.metadata.annotations, {names.MESH: mesh}),
        *_mapping("/metadata/labels", pod.metadata.labels, {labels.PROXY_UUID: uuid}),
        Op(op="replace", path=f"/spec/volumes/{volume}/secret/secretName", value=names.secret_name(uuid)),
    )


def _annotations(pod: Pod, wanted: Injected) -> tuple[Op, ...]:
    more = {names.MESH: wanted.mesh}
    if wanted.rewrites:
        more[names.PROBES] = msgspec.json.encode([rewrite.probe for rewrite in wanted.rewrites]).decode()
    if wanted.metrics:
        more |= {labels.SCRAPE: "true", labels.SCRAPE_PORT: str(METRICS), labels.SCRAPE_PATH: "/stats/prometheus"}
    return _mapping("/metadata/annotations", pod.metadata.annotations, more)


def _mapping(at: str, present: object, more: dict[str, str]) -> tuple[Op, ...]:
    """Into a mapping that may not be there yet."""
    if present is None:
        return (Op(op="add", path=at, value=more),)
    return tuple(Op(op="add", path=f"{at}/{_escaped(key)}", value=value) for key, value in more.items())


def _volumes(pod: Pod, wanted: Injected) -> tuple[Op, ...]:
    volumes = [
        {"name": names.BOOTSTRAP_VOLUME, "secret": {"secretName": names.secret_name(wanted.uuid)}},
        {"name": names.RUN_VOLUME, "emptyDir": {}},
    ]
    if not pod.spec.volumes:
        return (Op(op="add", path="/spec/volumes", value=volumes),)
    return tuple(Op(op="add", path="/spec/volumes/-", value=volume) for volume in volumes)


def _containers(pod: Pod, wanted: Injected, mesh: Mesh, house: House) -> tuple[Op, ...]:
    """Native: both before the app's own init containers. Else as OSM did: the rules after them, the sidecar last."""
    settings = mesh.injection or Injection()
    first = init_container(
        Image(name=settings.init_image or house.init_image, pull_policy=house.pull_policy),
        wanted.redirect,
        privileged=settings.privileged_init,
    )
    sidecar = sidecar_container(
        Sidecar(
            image=Image(name=settings.envoy_image or house.envoy_image, pull_policy=house.pull_policy),
            cluster=f"{pod.account}.{wanted.namespace}",
            log_level=mesh.sidecar_log_level,
            concurrency=house.concurrency,
            drain_s=_drain_s(pod, house),
            native=wanted.native,
            metrics=wanted.metrics,
            kubernetes=house.kubernetes,
        ),
        settings,
    )
    at = "/spec/initContainers"
    if not wanted.native:
        appended = Op(op="add", path="/spec/containers/-", value=sidecar)
        return (*_sequence(at, pod, [first], end="-"), appended)
    return _sequence(at, pod, [sidecar, first], end="0")


def _sequence(at: str, pod: Pod, values: list[dict[str, object]], *, end: str) -> tuple[Op, ...]:
    """Into the init containers, of which there may be none; at the front the last one given is the first."""
    made = () if pod.spec.init_containers else (Op(op="add", path=at, value=[]),)
    return (*made, *(Op(op="add", path=f"{at}/{end}", value=value) for value in values))


def _drain_s(pod: Pod, house: House) -> int:
    """No longer than the pod's own grace: Kubernetes would refuse the pod."""
    grace_s = pod.spec.termination_grace_period_seconds
    return house.drain_s if grace_s is None else min(house.drain_s, max(0, grace_s))


def _escaped(key: str) -> str:
    """As a JSON pointer has it (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
