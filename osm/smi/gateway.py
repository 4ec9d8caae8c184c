"""MeshConfig's `certificate.ingressGateway`: the certificate that an ingress gateway shows to sidecars.

Apart from the other settings, since it is a certificate and not a rule: who is let in by it, IngressBackends say.
Whether its names are free is the question of who signs (certmgr), to whom the mesh's workloads are known.
"""

from collections.abc import Iterator

from osm.contracts.names import DnsLabel, DnsName
from osm.contracts.policy import IngressGateway
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.naming import pattern
from osm.manifests.wording import LABEL, NAME, shown
from osm.smi import meshconfig
from osm.smi.durations import duration_s

PATH = "spec.certificate.ingressGateway"

LEAST_S = 600
"""Kubernetes takes a minute or more to show a changed Secret to a pod, and certmgr grants no less."""

GRANTED_S = 24 * 3600
"""The most that certmgr grants unless its own settings say otherwise."""

_NAME, _LABEL = pattern(DnsName), pattern(DnsLabel)


def gateway(fields: meshconfig.IngressGateway | None) -> IngressGateway | None:
    """To be used only if `gateway_problems` finds no error."""
    if fields is None:
        return None
    return IngressGateway(
        dns_names=tuple(sorted(set(fields.subject_alt_names))),
        lifetime_s=max(int(duration_s(fields.validity_duration) or 0), 1),
        namespace=fields.secret.namespace,
        name=fields.secret.name,
    )


def gateway_problems(raw: RawDocument, fields: meshconfig.IngressGateway | None) -> Iterator[Problem]:
    if fields is None:
        return
    for index, name in enumerate(fields.subject_alt_names):
        if not _NAME.fullmatch(name):
            what = f"expected a DNS name such as ingress-nginx.ingress-nginx.cluster.local, found {shown(name)}"
            yield raw.problem(f"{PATH}.subjectAltNames[{index}]", what)
    lifetime_s = duration_s(fields.validity_duration)
    if lifetime_s is None or lifetime_s < LEAST_S:
        what = f"expected a duration of at least 10m, such as 24h, found {shown(fields.validity_duration)}"
        yield raw.problem(f"{PATH}.validityDuration", what)
    elif lifetime_s > GRANTED_S:
        longer = shown(fields.validity_duration)
        what = f"{longer} is longer than certmgr grants, 24h unless OSM_CERTMGR_GATEWAY_LIFETIME_S says otherwise"
        yield raw.problem(f"{PATH}.validityDuration", what, "warning")
    if not _NAME.fullmatch(fields.secret.name):
        yield raw.problem(f"{PATH}.secret.name", f"expected {NAME}, found {shown(fields.secret.name)}")
    if not _LABEL.fullmatch(fields.secret.namespace):
        yield raw.problem(f"{PATH}.secret.namespace", f"expected {LABEL}, found {shown(fields.secret.namespace)}")
