"""The two containers that a pod is given, as Kubernetes reads them. Pure.

Apart from the patch, because these are what a security review asks for: `osm-init` may change the pod's network and
does nothing else, once; `envoy` may do nothing at all but listen, as a user of its own, in a file system it cannot
write to. Neither mounts anything of the app's; only `envoy` sees its own certificate. (The account's token, where a pod
has one, is put into every container by the API server itself.)
"""

from collections.abc import Mapping
from math import ceil, isfinite
from typing import Any, Literal

from msgspec import Struct

from osm.contracts.policy import Injection
from osm.envoy import ports
from osm.envoy.draining import DRAINING
from osm.envoy.redirect import Redirect, rules
from services.injector import names

LOAD_RULES = (
    "for load in iptables-restore iptables-legacy-restore; do "
    'printf "%s" "$OSM_REDIRECT" | "$load" --noflush && exit 0; '
    "done; exit 1"
)
"""All that the shell gets to see: the rules are data, in a variable. In them kubelet has put the pod's address.
Kernels and sandboxes without nftables know the older tables alone; either takes all the rules or none."""

READY_POLL_S = 1
READY_FAILURES = 600
"""A sidecar that has had no configuration for ten minutes is started again."""

SLEEP_FROM = (1, 30)
"""The version from which kubelet can sleep by itself; before it the image must have a `sleep`."""

_DOWNWARD = {
    "POD_UID": "metadata.uid",
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_IP": "status.podIP",
    "SERVICE_ACCOUNT": "spec.serviceAccountName",
}

_POWERLESS: Mapping[str, Any] = {
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "runAsUser": ports.PROXY_UID,
    "runAsGroup": ports.PROXY_UID,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Image(Struct, frozen=True, kw_only=True):
    """What to run, and when to fetch it."""

    name: str
    pull_policy: PullPolicy


def init_container(image: Image, redirect: Redirect, *, privileged: bool) -> dict[str, Any]:
    """Loads the redirect rules and ends. /run is for iptables' own lock file."""
    text = rules(redirect).replace("$POD_IP", "$(POD_IP)")
    return {
        "name": names.INIT,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "command": ["/bin/sh", "-ec", LOAD_RULES],
        "env": [_from_pod("POD_IP"), {"name": "OSM_REDIRECT", "value": text}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {
            "privileged": privileged,
            "allowPrivilegeEscalation": privileged,
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        },
        "volumeMounts": [{"name": names.RUN_VOLUME, "mountPath": "/run"}],
    }


class Sidecar(Struct, frozen=True, kw_only=True):
    """All that differs from one sidecar's container to the next. `kubernetes` is the cluster's version."""

    image: Image
    cluster: str
    log_level: str
    concurrency: int
    drain_s: int
    native: bool
    metrics: bool
    kubernetes: tuple[int, int]


def sidecar_container(sidecar: Sidecar, mesh: Injection) -> dict[str, Any]:
    """The Envoy. A native one is started before the app's own init containers, which so have the mesh already."""
    container: dict[str, Any] = {
        "name": names.SIDECAR,
        "image": sidecar.image.name,
        "imagePullPolicy": sidecar.image.pull_policy,
        "command": ["envoy"],
        "args": _arguments(sidecar, mesh),
        "ports": _ports(metrics=sidecar.metrics),
        "env": [_from_pod(name) for name in _DOWNWARD],
        "resources": _resources(mesh),
        "securityContext": _POWERLESS,
        "startupProbe": {
            "httpGet": {"path": "/ready", "port": ports.READY, "scheme": "HTTP"},
            "periodSeconds": READY_POLL_S,
            "failureThreshold": READY_FAILURES,
        },
        "volumeMounts": [{"name": names.BOOTSTRAP_VOLUME, "mountPath": names.BOOTSTRAP_FOLDER, "readOnly": True}],
    }
    if sidecar.native:
        container["restartPolicy"] = "Always"
    if sidecar.drain_s:
        container["lifecycle"] = {"preStop": _pause(sidecar)}
    return container


def _arguments(sidecar: Sidecar, mesh: Injection) -> list[str]:
    cores = _cores(dict(mesh.limits).get("cpu", ""))
    threads = max(1, ceil(cores)) if cores else sidecar.concurrency
    return [
        *("--config-path", f"{names.BOOTSTRAP_FOLDER}/{names.BOOTSTRAP_FILE}"),
        *("--service-cluster", sidecar.cluster),
        *("--log-level", sidecar.log_level),
        *("--concurrency", str(threads)),
        *DRAINING,
        "--disable-hot-restart",
    ]


def _pause(sidecar: Sidecar) -> dict[str, Any]:
    """Kept from ending while others still send here: that their proxies have heard of it takes a moment."""
    if sidecar.kubernetes >= SLEEP_FROM:
        return {"sleep": {"seconds": sidecar.drain_s}}
    return {"exec": {"command": ["sleep", str(sidecar.drain_s)]}}


def _ports(*, metrics: bool) -> list[dict[str, Any]]:
    named = {"proxy-inbound": ports.INBOUND, "proxy-ready": ports.READY}
    if metrics:
        named["proxy-metrics"] = ports.METRICS
    return [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in named.items()]


def _from_pod(name: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": _DOWNWARD[name]}}}


def _resources(mesh: Injection) -> Mapping[str, Any]:
    amounts = {"limits": dict(mesh.limits), "requests": dict(mesh.requests)}
    return {field: given for field, given in amounts.items() if given}


def _cores(limit: str) -> float:
    """A CPU quantity in cores; 0 if there is none, or none as people write it."""
    number, thousandth = limit.removesuffix("m"), limit.endswith("m")
    try:
        cores = float(number) / (1000 if thousandth else 1)
    except ValueError:
        return 0
    return cores if isfinite(cores) else 0
