"""The Secret of an ingress gateway's certificate: how it is written, and when it has to be written again. Pure.

It is a `kubernetes.io/tls` Secret with the mesh's roots beside the certificate, as gateways read them. What decides
about it stands in annotations, so that nobody who looks after it reads the key.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from osm.contracts import labels
from osm.contracts.policy import IngressGateway
from osm.k8s.objects import ObjectMeta
from osm.pki.renewal import renew_at
from services.injector.secret import NOT_AFTER, NOT_BEFORE, ROOTS, Certificate, roots_id, seconds_said
from services.injector.secret_chores import spread

ASKED = f"{labels.OSM}/asked"
"""What the certificate was asked for with, as a hash: another name or lifetime is another certificate."""

TYPE = "kubernetes.io/tls"

Key = tuple[str, str]
"""Namespace and name."""


class KeptGateway(Struct, frozen=True, kw_only=True):
    """A gateway's Secret, as its metadata shows it."""

    not_before_s: int = 0
    not_after_s: int = 0
    roots: str = ""
    asked: str = ""


def selector(mesh: str) -> str:
    """What finds the gateways' Secrets of this mesh."""
    return f"{labels.INGRESS_GATEWAY},{labels.INSTANCE}={mesh}"


def kept_gateway(meta: ObjectMeta) -> KeptGateway:
    return KeptGateway(
        not_before_s=seconds_said(meta.annotations.get(NOT_BEFORE, "")),
        not_after_s=seconds_said(meta.annotations.get(NOT_AFTER, "")),
        roots=meta.annotations.get(ROOTS, ""),
        asked=meta.annotations.get(ASKED, ""),
    )


def due_s(gateway: IngressGateway, kept: KeptGateway | None, roots_pem: str) -> float:
    """When it is to be written, seconds since the epoch; 0 is now."""
    if kept is None or kept.asked != asked(gateway) or kept.roots != roots_id(roots_pem):
        return 0.0
    return renew_at(kept.not_before_s, kept.not_after_s, spread(f"{gateway.namespace}/{gateway.name}"))


def strays(gateway: IngressGateway | None, found: Iterable[Key]) -> tuple[Key, ...]:
    """Those that nobody names any more: a key that is not renewed is of no use to whoever has it."""
    named = (gateway.namespace, gateway.name) if gateway else None
    return tuple(sorted(key for key in found if key != named))


def asked(gateway: IngressGateway) -> str:
    text = "\n".join((str(gateway.lifetime_s), *gateway.dns_names))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def written(gateway: IngressGateway, certificate: Certificate, roots_pem: str, mesh: str) -> Mapping[str, Any]:
    """The whole Secret, to be made; to change one, its metadata and data are enough."""
    metadata = {
        "name": gateway.name,
        "namespace": gateway.namespace,
        "labels": {labels.APP_NAME: labels.OSM, labels.INSTANCE: mesh, labels.INGRESS_GATEWAY: "true"},
        "annotations": {
            NOT_BEFORE: str(certificate.chain.not_before_s),
            NOT_AFTER: str(certificate.chain.not_after_s),
            ROOTS: roots_id(roots_pem),
            ASKED: asked(gateway),
        },
    }
    files = {"ca.crt": roots_pem, "tls.crt": certificate.chain.chain_pem, "tls.key": certificate.key_pem}
    return {"metadata": metadata, "type": TYPE, "stringData": files}


def remembered_gateway(gateway: IngressGateway, certificate: Certificate, roots_pem: str) -> KeptGateway:
    """What a Secret just written will say of itself, before its watch does."""
    return KeptGateway(
        not_before_s=certificate.chain.not_before_s,
        not_after_s=certificate.chain.not_after_s,
        roots=roots_id(roots_pem),
        asked=asked(gateway),
    )
