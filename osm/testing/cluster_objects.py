"""Kubernetes' own objects, as an API server gives them, with as few words as a test needs.

Plain mappings, so that the same ones go through a decoder or to a real API server.
"""

from collections.abc import Mapping
from typing import Any

from osm.contracts.labels import INJECTION, MONITORED_BY, PROXY_UUID

Json = dict[str, Any]

MESHED: Mapping[str, str] = {MONITORED_BY: "osm"}
INJECTED: Mapping[str, str] = {INJECTION: "enabled"}


def namespace(name: str, *, labels: Mapping[str, str] = MESHED, annotations: Mapping[str, str] = INJECTED) -> Json:
    return {"metadata": {"name": name, "labels": {**labels}, "annotations": {**annotations}}}


def account(namespace: str, name: str) -> Json:
    return {"metadata": {"namespace": namespace, "name": name}}


def service(
    namespace: str, name: str, *, ports: list[Json], selector: Mapping[str, str] | None = None, **spec: Any
) -> Json:
    """Selects `app: <name>` unless told otherwise; an empty selector is none."""
    chosen = {"app": name} if selector is None else {**selector}
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"ports": ports, **({"selector": chosen} if chosen else {}), **spec},
    }


def pod(
    namespace: str,
    name: str,
    *,
    labels: Mapping[str, str],
    sidecar: str = "",
    account: str = "default",
    ip: str = "",
    ports: tuple[Json, ...] = (),
    annotations: Mapping[str, str] | None = None,
    **status: Any,
) -> Json:
    """With `sidecar`, its label; with `ip`, that address."""
    marked = {**labels, **({PROXY_UUID: sidecar} if sidecar else {})}
    address = {"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": marked, "annotations": {**(annotations or {})}},
        "spec": {
            "serviceAccountName": account,
            "containers": [{"name": "app", "image": "app", "ports": [*ports]}],
        },
        "status": {"phase": "Running", **address, **status},
    }


def spot(address: str, pod: str = "", *, zone: str = "", **conditions: bool) -> Json:
    """An endpoint of a slice; ready unless told otherwise."""
    return {
        "addresses": [address],
        "conditions": {"ready": True, **conditions},
        **({"targetRef": {"kind": "Pod", "name": pod}} if pod else {}),
        **({"zone": zone} if zone else {}),
    }


def endpoint_slice(
    namespace: str, service: str, *spots: Json, ports: list[Json], name: str = "", family: str = "IPv4"
) -> Json:
    return {
        "metadata": {
            "namespace": namespace,
            "name": name or f"{service}-1",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": family,
        "ports": ports,
        "endpoints": [*spots],
    }
