"""Root and record in a Kubernetes cluster, shared by all replicas.

The root is a Secret in OSM's own format, so that a mesh of OSM's keeps its root. Of replicas that start at once the
API server lets one create it, and all read what it keeps. The record is no secret: a ConfigMap, changed by
compare-and-set.
"""

import asyncio
from contextlib import suppress
from typing import Any

from osm.contracts import labels
from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Conflict, Forbidden, NotFound
from osm.k8s.objects import ConfigMap, Secret
from osm.k8s.resource import CONFIG_MAPS, SECRETS
from osm.pki.keys import key_pem
from osm.pki.reading import chain_pem
from services.certmgr import ledger
from services.certmgr.ledger import LedgerUnavailable
from services.certmgr.rotation import Granted, merged
from services.certmgr.tresor import BadRoot, Tresor, new_root, read_root

CERTIFICATE, KEY = "ca.crt", "private.key"
"""OSM's names of the two texts."""

LEDGER = "osm-ca-granted"
LEDGER_KEY = "granted.json"

LABELS = {labels.APP_NAME: labels.OSM}


async def open_tresor(
    cluster: Cluster, namespace: str, name: str, *, trust_domain: str, lifetime_s: int, now_s: float
) -> Tresor:
    """The root in the Secret, made now if there is none. Raises BadRoot, ApiError."""
    place = f"Secret {namespace}/{name}"
    try:
        secret = await cluster.get(SECRETS, name, namespace, as_=Secret)
    except NotFound:
        secret = await _create(cluster, namespace, name, trust_domain=trust_domain, lifetime_s=lifetime_s, now_s=now_s)
    missing = [each for each in (CERTIFICATE, KEY) if not secret.data.get(each)]
    if missing:
        raise BadRoot(f"{place}: found no {' and no '.join(missing)}, allowed are {CERTIFICATE} and {KEY}, both PEM")
    return read_root(key=secret.data[KEY], certificate=secret.data[CERTIFICATE], trust_domain=trust_domain, place=place)


async def _create(
    cluster: Cluster, namespace: str, name: str, *, trust_domain: str, lifetime_s: int, now_s: float
) -> Secret:
    """What the API server keeps, whoever was first. Raises BadRoot if the root is not ours to make."""
    key, root = new_root(trust_domain=trust_domain, lifetime_s=lifetime_s, now_s=now_s)
    body = {
        "metadata": {"name": name, "labels": LABELS},
        "stringData": {CERTIFICATE: chain_pem([root]), KEY: key_pem(key).decode()},
    }
    try:
        with suppress(Conflict):  # another was first
            await cluster.create(SECRETS, body, namespace)
    except Forbidden as error:
        raise BadRoot(
            f"Secret {namespace}/{name}: not there, and we may not make it ({error}); restore it, or let "
            "`osm prepare` make a new one: the mesh then begins anew"
        ) from error
    return await cluster.get(SECRETS, name, namespace, as_=Secret)


class ClusterLedger:
    """The namespace's record; open it with `open_ledger`."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.granted: Granted = {}
        self._cluster = cluster
        self._namespace = namespace
        self._place = f"ConfigMap {namespace}/{LEDGER}"
        self._writing = asyncio.Lock()

    async def read(self) -> str:
        """Take in what is kept; returns its version, empty if there is no record yet. Raises BadLedger, ApiError."""
        try:
            found = await self._cluster.get(CONFIG_MAPS, LEDGER, self._namespace, as_=ConfigMap)
        except NotFound:
            return ""
        kept = ledger.read(found.data.get(LEDGER_KEY, "{}"), self._place)
        self.granted = merged(self.granted, kept)
        return found.metadata.resource_version

    async def record(self, issuer: str, not_after_s: int) -> None:
        """Return once it is kept that `issuer` has granted until `not_after_s`. Raises BadLedger, LedgerUnavailable.

        Each refusal means that another replica has raised it, so this ends.
        """
        async with self._writing:
            try:
                while self.granted.get(issuer, 0) < not_after_s:
                    version = await self.read()
                    raised = merged(self.granted, {issuer: not_after_s})
                    if raised == self.granted or await self._write(raised, version):
                        self.granted = raised
            except ApiError as error:
                raise LedgerUnavailable(f"{self._place}: {error}") from error

    async def _write(self, raised: Granted, version: str) -> bool:
        """False if another replica has written since `version`. NotFound: the record, or the namespace, was deleted."""
        metadata: dict[str, Any] = {"name": LEDGER, "namespace": self._namespace, "labels": LABELS}
        body = {"data": {LEDGER_KEY: ledger.written(raised).decode()}}
        try:
            if version:
                await self._cluster.replace(CONFIG_MAPS, {**body, "metadata": {**metadata, "resourceVersion": version}})
            else:
                await self._cluster.create(CONFIG_MAPS, {**body, "metadata": metadata})
        except Conflict:
            return False
        return True


async def open_ledger(cluster: Cluster, namespace: str) -> ClusterLedger:
    """Raises BadLedger, ApiError."""
    opened = ClusterLedger(cluster, namespace)
    await opened.read()
    return opened
