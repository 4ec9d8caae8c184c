"""The Secret that a sidecar starts from and reads again: how it is written, and what its metadata says. Pure.

Its three files change together, for the volume that shows them is moved as a whole: an Envoy never sees a key beside
another's certificate. What decides when it is renewed stands in annotations, so that whoever looks after thousands of
Secrets never reads a key.
"""

import hashlib
from pathlib import PurePosixPath
from typing import Any

from msgspec import Struct

from osm.contracts import labels
from osm.contracts.names import Address
from osm.contracts.trust import Chain
from osm.envoy.bootstrap import Sidecar, certificate_sds, roots_sds, text
from osm.envoy.pod import pod_bootstrap
from osm.k8s.objects import ObjectMeta
from services.injector import names
from services.injector.proxies import Proxy, SecretKey

NOT_BEFORE = f"{labels.OSM}/certificate-not-before-s"
NOT_AFTER = f"{labels.OSM}/certificate-not-after-s"
ROOTS = f"{labels.OSM}/roots"

MOST_DIGITS = 11
"""Of a time in seconds since the epoch: enough for three thousand years, and for arithmetic in floats."""

_FOLDER = PurePosixPath(names.BOOTSTRAP_FOLDER)


class Certificate(Struct, frozen=True, kw_only=True):
    """A proxy's certificate with its key: never logged, never kept."""

    key_pem: str
    chain: Chain

    def __repr__(self) -> str:
        return f"Certificate(not_after_s={self.chain.not_after_s})"


class Mesh(Struct, frozen=True, kw_only=True):
    """What all sidecars of a mesh have in common."""

    name: str
    trust_domain: str
    xds: Address
    load_reports: bool = False


class Kept(Struct, frozen=True, kw_only=True):
    """A Secret of ours, as its metadata shows it; a time that cannot be read is 0, so long past."""

    namespace: str
    uuid: str
    created_s: float
    owner_uid: str = ""
    not_before_s: int = 0
    not_after_s: int = 0
    roots: str = ""

    @property
    def key(self) -> SecretKey:
        return self.namespace, self.uuid


def kept(meta: ObjectMeta) -> Kept | None:
    """None for a Secret that is none of ours, whatever its label says."""
    uuid = meta.labels.get(labels.PROXY_UUID, "")
    if meta.name != names.secret_name(uuid):
        return None
    owner = next((each.uid for each in meta.owner_references if each.kind == "Pod"), "")
    return Kept(
        namespace=meta.namespace,
        uuid=uuid,
        created_s=meta.creation_timestamp.timestamp() if meta.creation_timestamp is not None else 0.0,
        owner_uid=owner,
        not_before_s=seconds_said(meta.annotations.get(NOT_BEFORE, "")),
        not_after_s=seconds_said(meta.annotations.get(NOT_AFTER, "")),
        roots=meta.annotations.get(ROOTS, ""),
    )


def selector(mesh: str) -> str:
    """What finds the Secrets of this mesh's sidecars."""
    return f"{labels.PROXY_UUID},{labels.INSTANCE}={mesh}"


def roots_id(roots_pem: str) -> str:
    """Equal for equal roots."""
    return hashlib.sha256(roots_pem.encode()).hexdigest()[:16]


def made(proxy: Proxy, certificate: Certificate, roots_pem: str, mesh: Mesh) -> dict[str, Any]:
    """A new one. It goes when its pod goes."""
    metadata = {
        "name": names.secret_name(proxy.uuid),
        "namespace": proxy.namespace,
        "labels": {labels.APP_NAME: labels.OSM, labels.INSTANCE: mesh.name, labels.PROXY_UUID: proxy.uuid},
        **owned(proxy)["metadata"],
    }
    changed = renewed(proxy, certificate, roots_pem, mesh)
    return {"metadata": {**metadata, **changed["metadata"]}, "type": "Opaque", "stringData": changed["stringData"]}


def renewed(proxy: Proxy, certificate: Certificate, roots_pem: str, mesh: Mesh) -> dict[str, Any]:
    """What changes with a new certificate; the bootstrap is that of this release, for the sidecar's next start."""
    times = {NOT_BEFORE: str(certificate.chain.not_before_s), NOT_AFTER: str(certificate.chain.not_after_s)}
    trust = trusting(roots_pem)
    files = {
        names.BOOTSTRAP_FILE: _bootstrap(proxy, mesh),
        names.CERTIFICATE_FILE: text(
            certificate_sds(key_pem=certificate.key_pem, chain_pem=certificate.chain.chain_pem)
        ),
    }
    return {
        "metadata": {"annotations": {**times, **trust["metadata"]["annotations"]}},
        "stringData": {**files, **trust["stringData"]},
    }


def trusting(roots_pem: str) -> dict[str, Any]:
    """What changes with the roots."""
    return {
        "metadata": {"annotations": {ROOTS: roots_id(roots_pem)}},
        "stringData": {names.ROOTS_FILE: text(roots_sds(roots_pem))},
    }


def owned(proxy: Proxy) -> dict[str, Any]:
    """Whose it is."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": proxy.pod, "uid": proxy.pod_uid}
    return {"metadata": {"ownerReferences": [owner]}}


def remembered(proxy: Proxy, certificate: Certificate, roots_pem: str, now_s: float) -> Kept:
    """What a Secret just written will say of itself, before its watch does."""
    return Kept(
        namespace=proxy.namespace,
        uuid=proxy.uuid,
        created_s=now_s,
        owner_uid=proxy.pod_uid,
        not_before_s=certificate.chain.not_before_s,
        not_after_s=certificate.chain.not_after_s,
        roots=roots_id(roots_pem),
    )


def _bootstrap(proxy: Proxy, mesh: Mesh) -> str:
    sidecar = Sidecar(
        proxy_id=proxy.id,
        identity=proxy.identity,
        trust_domain=mesh.trust_domain,
        xds=mesh.xds,
        certificate_sds=_FOLDER / names.CERTIFICATE_FILE,
        roots_sds=_FOLDER / names.ROOTS_FILE,
        watched=_FOLDER,
        load_reports=mesh.load_reports,
    )
    return text(pod_bootstrap(sidecar, checks=proxy.checks, metrics=proxy.metrics))


def seconds_said(said: str) -> int:
    """0 for what is no time since the epoch: whoever may edit a Secret may write anything here."""
    return int(said) if len(said) <= MOST_DIGITS and said.isascii() and said.isdecimal() else 0
