"""Manifests for tests, as users write them: short functions that return YAML text.

Apart from the tests so that a test shows only what it is about. Text and not objects: what is tested begins with text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

Ref = tuple[str, str]
"""Namespace and name."""


def documents(*texts: str) -> str:
    """Several documents in one file."""
    return "---\n".join(texts)


def workload(
    at: Ref,
    *listens: str,
    replicas: int = 1,
    app: str = "",
    labels: Mapping[str, str] | None = None,
    account: str = "",
    command: Sequence[str] = ("python3", "-m", "osm.testing.app"),
) -> str:
    """A ServiceAccount and a Deployment of the app for tests, which listens as told: `8080`, `tcp:9000`."""
    namespace, name = at
    account = account or name
    marks = {"app": app or name, **(labels or {})}
    ports = [{"name": f"p{each.rpartition(':')[2]}", "containerPort": int(each.rpartition(":")[2])} for each in listens]
    container = {"name": "app", "command": [*command, *listens], "ports": ports}
    template = {
        "metadata": {"labels": marks},
        "spec": {"serviceAccountName": account, "terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": marks}, "template": template}
    return documents(
        _object("v1", "ServiceAccount", (namespace, account)), _object("apps/v1", "Deployment", at, spec=spec)
    )


def service(at: Ref, *ports: str, app: str = "", labels: Mapping[str, str] | None = None) -> str:
    """Ports as `8080`, `80:8080` (service port to target port) or `9000/tcp`."""
    return _object(
        "v1",
        "Service",
        at,
        spec={"selector": labels or {"app": app or at[1]}, "ports": [_port(each) for each in ports]},
    )


def mesh_config(**traffic: bool) -> str:
    """OSM's settings; without permissive mode unless told otherwise."""
    settings = {"enablePermissiveTrafficPolicyMode": False, **traffic}
    return _object(
        "config.openservicemesh.io/v1alpha2",
        "MeshConfig",
        ("osm-system", "osm-mesh-config"),
        spec={"traffic": settings},
    )


def route_group(at: Ref, **matches: Mapping[str, Any]) -> str:
    """An HTTPRouteGroup: each match by its name."""
    each = [{"name": name, **match} for name, match in matches.items()]
    return _object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", at, spec={"matches": each})


def tcp_route(at: Ref, *ports: int) -> str:
    """A TCPRoute: these ports, or any."""
    spec = {"matches": {"ports": list(ports)}} if ports else {}
    return _object("specs.smi-spec.io/v1alpha4", "TCPRoute", at, spec=spec)


def target(at: Ref, *rules: Mapping[str, Any], to: str, sources: Iterable[Ref]) -> str:
    """A TrafficTarget for the account `to` of its own namespace."""
    spec = {
        "destination": {"kind": "ServiceAccount", "name": to, "namespace": at[0]},
        "sources": [{"kind": "ServiceAccount", "namespace": each[0], "name": each[1]} for each in sources],
        "rules": list(rules),
    }
    return _object("access.smi-spec.io/v1alpha3", "TrafficTarget", at, spec=spec)


def egress(at: Ref, protocol: str, port: int, *hosts: str, source: Ref, ranges: Sequence[str] = ()) -> str:
    """Lets an account out of the mesh, to hosts or to ranges."""
    spec = {
        "sources": [{"kind": "ServiceAccount", "namespace": source[0], "name": source[1]}],
        "hosts": list(hosts),
        "ipAddresses": list(ranges),
        "ports": [{"number": port, "protocol": protocol}],
    }
    return _object("policy.openservicemesh.io/v1alpha1", "Egress", at, spec=spec)


def http(group: str, *matches: str) -> Mapping[str, Any]:
    """A rule: these matches of the group, or all."""
    return {"kind": "HTTPRouteGroup", "name": group, **({"matches": list(matches)} if matches else {})}


def tcp(route: str) -> Mapping[str, Any]:
    """A rule for connections."""
    return {"kind": "TCPRoute", "name": route}


def split(at: Ref, root: str, weights: Mapping[str, int], *groups: str, version: str = "v1alpha4") -> str:
    """A TrafficSplit; of requests of the groups alone, if there are any."""
    spec: dict[str, Any] = {
        "service": root,
        "backends": [{"service": name, "weight": weight} for name, weight in weights.items()],
    }
    if groups:
        spec["matches"] = [{"kind": "HTTPRouteGroup", "name": name} for name in groups]
    return _object(f"split.smi-spec.io/{version}", "TrafficSplit", at, spec=spec)


def _port(written: str) -> Mapping[str, Any]:
    numbers, _, protocol = written.partition("/")
    port, _, target_port = numbers.partition(":")
    return {
        "name": f"p{port}",
        "port": int(port),
        "targetPort": int(target_port or port),
        "appProtocol": protocol or "http",
    }


def _object(api_version: str, kind: str, at: Ref, *, spec: Mapping[str, Any] | None = None) -> str:
    whole: dict[str, Any] = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"namespace": at[0], "name": at[1]},
    }
    if spec is not None:
        whole["spec"] = spec
    return msgspec.yaml.encode(whole).decode()
