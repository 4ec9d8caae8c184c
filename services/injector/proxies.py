"""Reads from a running pod everything that its sidecar's Secret is made from. Pure.

Apart from `pod`, which is about pods not yet made. The account is the one that the API server let the pod have; the
rest was written by whoever made the pod, and is about that pod alone. What cannot be read is passed over: a sidecar
without its app's probes still carries its traffic.
"""

import re

import msgspec
from msgspec import Struct

from osm.contracts import labels
from osm.contracts.endpoints import workload_id
from osm.contracts.names import Identity
from osm.envoy.ports import METRICS
from osm.envoy.probes import Probe
from osm.k8s.objects import Object
from services.injector import names
from services.injector.pod import Volume

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

FINISHED = ("Succeeded", "Failed")

SecretKey = tuple[str, str]
"""Namespace and uuid."""


class _Spec(Struct, frozen=True, kw_only=True, rename="camel"):
    service_account_name: str = ""
    volumes: tuple[Volume, ...] = ()


class _Status(Struct, frozen=True, kw_only=True):
    phase: str = ""


class RunningPod(Object, frozen=True, kw_only=True, rename="camel"):
    """The fields read here."""

    spec: _Spec = _Spec()
    status: _Status = _Status()


class Proxy(Struct, frozen=True, kw_only=True):
    """A sidecar, and the pod it is in. `seen_s` is when we first saw it, by our own clock."""

    namespace: str
    uuid: str
    pod: str
    pod_uid: str
    account: str
    seen_s: float
    checks: tuple[Probe, ...] = ()
    metrics: bool = False
    finished: bool = False

    @property
    def key(self) -> SecretKey:
        return self.namespace, self.uuid

    @property
    def id(self) -> str:
        return workload_id(self.namespace, self.uuid)

    @property
    def identity(self) -> Identity:
        return Identity(self.namespace, self.account)


def proxy_of(pod: RunningPod, mesh: str, seen_s: float) -> Proxy | None:
    """None if it has no sidecar of this mesh: the label alone is none."""
    meta = pod.metadata
    uuid = meta.labels.get(labels.PROXY_UUID, "")
    secrets = {volume.secret.secret_name for volume in pod.spec.volumes if volume.secret is not None}
    if meta.annotations.get(names.MESH) != mesh:
        return None
    if not _UUID.fullmatch(uuid) or names.secret_name(uuid) not in secrets:
        return None
    return Proxy(
        namespace=meta.namespace,
        uuid=uuid,
        pod=meta.name,
        pod_uid=meta.uid,
        account=pod.spec.service_account_name or "default",
        seen_s=seen_s,
        checks=_checks(meta.annotations.get(names.PROBES, "[]")),
        metrics=meta.annotations.get(labels.SCRAPE_PORT) == str(METRICS),
        finished=pod.status.phase in FINISHED,
    )


def _checks(text: str) -> tuple[Probe, ...]:
    """One of each kind and container, so that no two are answered at one path. The text is whatever a user wrote."""
    try:
        found = msgspec.json.decode(text, type=tuple[Probe, ...])
    except (msgspec.MsgspecError, RecursionError):
        return ()
    return tuple({(probe.kind, probe.container): probe for probe in found}.values())
