"""What a MeshConfig says of new pods: the sidecar's image and resources, and which traffic it leaves alone.

Apart from `meshsettings`, whose fields move proxies that run; these are read when a pod is made, and by nobody else.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from osm.contracts.policy import Injection
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.wording import shown
from osm.smi.meshconfig import Resources, Spec, Traffic

_QUANTITY = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)(m|k|[MGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")


def injection(spec: Spec) -> Injection | None:
    """None if nothing is said, or only what goes without saying."""
    sidecar, traffic = spec.sidecar, spec.traffic
    resources = sidecar.resources or Resources()
    said = Injection(
        envoy_image=sidecar.envoy_image or "",
        init_image=sidecar.init_container_image or "",
        privileged_init=bool(sidecar.enable_privileged_init_container),
        pod_ip_mode=sidecar.local_proxy_mode == "PodIP",
        requests=_amounts(resources.requests),
        limits=_amounts(resources.limits),
        outbound_ip_exclusions=traffic.outbound_ip_range_exclusion_list or (),
        outbound_ip_inclusions=traffic.outbound_ip_range_inclusion_list or (),
        outbound_port_exclusions=traffic.outbound_port_exclusion_list or (),
        inbound_port_exclusions=traffic.inbound_port_exclusion_list or (),
        interface_exclusions=traffic.network_interface_exclusion_list or (),
    )
    return said if said != Injection() else None


def unusable(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    """What has the right form and is none the less nothing that a pod can be made with."""
    yield from _not_ranges(raw, spec.traffic)
    yield from _not_quantities(raw, spec.sidecar.resources or Resources())


def _not_ranges(raw: RawDocument, traffic: Traffic) -> Iterator[Problem]:
    for field, ranges in (
        ("outboundIPRangeExclusionList", traffic.outbound_ip_range_exclusion_list),
        ("outboundIPRangeInclusionList", traffic.outbound_ip_range_inclusion_list),
    ):
        for index, given in enumerate(ranges or ()):
            if not _is_range(given):
                what = f"expected a range such as 10.0.0.0/8, found {shown(given)}"
                yield raw.problem(f"spec.traffic.{field}[{index}]", what)


def _not_quantities(raw: RawDocument, resources: Resources) -> Iterator[Problem]:
    for field, amounts in (("limits", resources.limits), ("requests", resources.requests)):
        for name, amount in sorted(amounts.items()):
            if not _QUANTITY.fullmatch(_quantity(amount)):
                what = f"expected a quantity such as 100m, found {shown(amount)}"
                yield raw.problem(f"spec.sidecar.resources.{field}.{name}", what)


def _is_range(given: str) -> bool:
    try:
        IPv4Network(given, strict=False)
    except ValueError:
        return False
    return True


def _amounts(given: Mapping[str, str | float]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, _quantity(amount)) for name, amount in given.items()))


def _quantity(amount: str | float) -> str:
    """To the last digit: bytes are often written as a bare number."""
    if isinstance(amount, str):
        return amount
    return str(int(amount)) if amount.is_integer() else repr(amount)
