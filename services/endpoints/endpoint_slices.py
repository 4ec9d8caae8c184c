"""From one service's EndpointSlices and its namespace's pods to where connections go. Pure.

The one thing here that changes all day. A slice says where and whether; the pod says under which identity, and whether
there is a sidecar to accept mutual TLS. An address whose pod is not known yet is left out until it is.
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from osm.contracts.endpoints import Endpoint
from osm.contracts.names import Address
from services.endpoints.facts import Pod, Port, Slice, Spot

Pods = Mapping[str, Pod]


class _Place(Struct, frozen=True, kw_only=True):
    """A spot with a sidecar, and the port at which it serves the service port in question."""

    spot: Spot
    pod: Pod
    port: int


def endpoints(ports: Iterable[Port], slices: Collection[Slice], pods: Pods) -> tuple[Endpoint, ...]:
    """Every usable address with a sidecar, by service port; an address that several slices name counts once."""
    found = {
        Endpoint(
            port=port.port,
            address=Address(each.spot.address, each.port),
            identity=each.pod.identity,
            locality=each.spot.zone,
        )
        for port in ports
        for each in _one_family(_usable(_places(port, slices, pods)))
    }
    return tuple(sorted(found))


def bare(slices: Iterable[Slice], pods: Pods) -> tuple[str, ...]:
    """Ready addresses without a sidecar, whether they are pods or not."""
    return tuple(
        sorted({spot.address for each in slices for spot in each.spots if spot.ready and not _sidecar(spot, pods)})
    )


def named(slices: Iterable[Slice]) -> frozenset[str]:
    """Names of the pods in the slices, ready or not."""
    return frozenset(spot.pod for each in slices for spot in each.spots if spot.pod)


def _places(port: Port, slices: Iterable[Slice], pods: Pods) -> list[_Place]:
    return [
        _Place(spot=spot, pod=pod, port=each.ports[port.name])
        for each in slices
        if port.name in each.ports
        for spot in each.spots
        if (pod := _sidecar(spot, pods)) is not None
    ]


def _sidecar(spot: Spot, pods: Pods) -> Pod | None:
    """The pod at the spot, if it has a sidecar. A pod made anew under the same name is another one."""
    pod = pods.get(spot.pod)
    if pod is None or not pod.sidecar or (spot.pod_uid and pod.uid and spot.pod_uid != pod.uid):
        return None
    return pod


def _usable(places: list[_Place]) -> list[_Place]:
    """The ready ones; while there are none, those that are on their way out and still serve, as kube-proxy does it."""
    return [each for each in places if each.spot.ready] or [each for each in places if each.spot.draining]


def _one_family(places: list[_Place]) -> list[_Place]:
    """A pod with addresses of both families counts by its IPv4 one: the sidecar's redirection is of IPv4 only."""
    with_ipv4 = {each.pod.name for each in places if ":" not in each.spot.address}
    return [each for each in places if ":" not in each.spot.address or each.pod.name not in with_ipv4]
