"""How an app's probes are sent through the sidecar: which of them, and the steps of the patch that do it. Pure.

What answers them there is `osm.envoy.probes`. A probe that runs a command, or that asks another host than the pod,
stays as it is; so does one that the API server is about to refuse: of ours in its place it would say nothing. Ordinary
init containers have none; those that keep running (sidecars of the user's own) may.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from osm.envoy.probes import PORTS, GrpcCheck, HttpCheck, Kind, Probe, TcpCheck, path_of
from services.injector.pod import Container, Hook, HttpGet, Pod, Probing
from services.injector.pod_annotations import MOST_DIGITS
from services.injector.review import Op

MOST_PORT = 65535

FIELDS: dict[Kind, str] = {"liveness": "livenessProbe", "readiness": "readinessProbe", "startup": "startupProbe"}


class Rewrite(Struct, frozen=True, kw_only=True):
    """A probe to be sent elsewhere: where it stands in the pod, what it was."""

    at: str
    was: Literal["httpGet", "tcpSocket", "grpc"]
    probe: Probe


def rewrites(pod: Pod) -> tuple[Rewrite, ...]:
    """Every probe that would otherwise meet the sidecar's mutual TLS, in the pod's order."""
    found: list[Rewrite] = []
    for at, container in _containers(pod):
        probings: dict[Kind, Probing | None] = {
            "liveness": container.liveness_probe,
            "readiness": container.readiness_probe,
            "startup": container.startup_probe,
        }
        for kind, probing in probings.items():
            if probing is not None and (one := _rewrite(f"{at}/{FIELDS[kind]}", container, kind, probing)) is not None:
                found.append(one)
    return tuple(found)


def ops(rewrite: Rewrite) -> Iterator[Op]:
    """Times, thresholds and headers stay as they are."""
    path, port = path_of(rewrite.probe), PORTS[rewrite.probe.kind]
    if rewrite.was == "httpGet":
        yield Op(op="add", path=f"{rewrite.at}/httpGet/path", value=path)
        yield Op(op="add", path=f"{rewrite.at}/httpGet/port", value=port)
        yield Op(op="add", path=f"{rewrite.at}/httpGet/scheme", value="HTTP")
    else:
        yield Op(op="remove", path=f"{rewrite.at}/{rewrite.was}")
        yield Op(op="add", path=f"{rewrite.at}/httpGet", value={"path": path, "port": port, "scheme": "HTTP"})


def warnings(pod: Pod) -> Iterator[str]:
    """Hooks over HTTP go to the app past its sidecar's back, which asks for mutual TLS: they would fail."""
    for _, container in _containers(pod):
        hooks = container.lifecycle
        for name, hook in (("postStart", hooks and hooks.post_start), ("preStop", hooks and hooks.pre_stop)):
            if isinstance(hook, Hook) and hook.http_get is not None and not hook.http_get.host:
                yield f"container {container.name}: lifecycle.{name}.httpGet does not pass the sidecar; use exec"


def _containers(pod: Pod) -> Iterator[tuple[str, Container]]:
    for field, containers in (("initContainers", pod.spec.init_containers), ("containers", pod.spec.containers or ())):
        for index, container in enumerate(containers):
            yield f"/spec/{field}/{index}", container


def _rewrite(at: str, container: Container, kind: Kind, probing: Probing) -> Rewrite | None:
    def probe(check: HttpCheck | TcpCheck | GrpcCheck) -> Probe:
        return Probe(
            container=container.name,
            kind=kind,
            check=check,
            timeout_s=max(1, probing.timeout_seconds),
            period_s=max(1, probing.period_seconds),
        )

    http, tcp, grpc = probing.http_get, probing.tcp_socket, probing.grpc
    http_or_https = http is not None and not http.host and http.scheme.upper() in ("HTTP", "HTTPS")
    if http is not None and http_or_https and (port := _port(container, http.port)) is not None:
        return Rewrite(at=at, was="httpGet", probe=probe(_http(http, port)))
    if tcp is not None and not tcp.host and (port := _port(container, tcp.port)) is not None:
        return Rewrite(at=at, was="tcpSocket", probe=probe(TcpCheck(port=port)))
    if grpc is not None and (port := _port(container, grpc.port)) is not None:
        return Rewrite(at=at, was="grpc", probe=probe(GrpcCheck(port=port, service=grpc.service or "")))
    return None


def _http(http: HttpGet, port: int) -> HttpCheck:
    path = http.path.partition("#")[0].removeprefix("/")
    return HttpCheck(port=port, path=f"/{path}", tls=http.scheme.upper() == "HTTPS")


def _port(container: Container, given: int | str) -> int | None:
    """A number, or the name of one of the container's own. None if there is no such port: the API server or kubelet
    will say so, if the probe is left as it is."""
    named = next((port.container_port for port in container.ports if port.name == given), given)
    if isinstance(named, str):
        if not (len(named) <= MOST_DIGITS and named.isascii() and named.isdecimal()):
            return None
        named = int(named)
    return named if 1 <= named <= MOST_PORT else None
