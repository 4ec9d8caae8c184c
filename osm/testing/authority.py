"""A root of trust for tests: the server's certificate, its clients', and those of strangers and of the past.

Made with the same code as certmgr's, without certmgr.
"""

import itertools
import time

from osm.ads.credentials import ServerIdentity
from osm.contracts.names import XDS_IDENTITY, Identity
from osm.contracts.trust import ControlPlane, MeshLeaf, ProxyClient
from osm.pki.issuing import make_root, profile_of, sign
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem
from osm.testing.ads_client import ClientIdentity

SERVER_NAME = "osm-xds.test"

HOUR_S = 3600

_serials = itertools.count(1)


class Authority:
    """One root."""

    def __init__(self, trust_domain: str = "cluster.local") -> None:
        self.trust_domain = trust_domain
        self._key = make_key()
        self._began_s = time.time() - 2 * HOUR_S
        self._root = make_root(
            self._key, trust_domain=trust_domain, now_s=self._began_s, lifetime_s=24 * HOUR_S, serial=next(_serials)
        )
        self.roots_pem = chain_pem([self._root]).encode()

    def server(self) -> ServerIdentity:
        """A new certificate for xds."""
        chain, key = self._issue(ControlPlane(identity=XDS_IDENTITY, dns_names=(SERVER_NAME,)), HOUR_S, age_s=0)
        return ServerIdentity(chain_pem=chain, key_pem=key, client_roots_pem=self.roots_pem)

    def proxy(self, proxy_id: str, identity: Identity, *, lifetime_s: int = HOUR_S, age_s: int = 0) -> ClientIdentity:
        """A proxy's certificate, issued `age_s` ago."""
        return self._client(ProxyClient(identity=identity, proxy_id=proxy_id), lifetime_s, age_s)

    def workload(self, identity: Identity) -> ClientIdentity:
        """A workload's certificate, which is none for a proxy's stream."""
        return self._client(MeshLeaf(identity=identity), HOUR_S, 0)

    def _client(self, subject: MeshLeaf | ProxyClient, lifetime_s: int, age_s: int) -> ClientIdentity:
        chain, key = self._issue(subject, lifetime_s, age_s)
        return ClientIdentity(chain_pem=chain, key_pem=key, roots_pem=self.roots_pem, server_name=SERVER_NAME)

    def _issue(
        self, subject: MeshLeaf | ProxyClient | ControlPlane, lifetime_s: int, age_s: int
    ) -> tuple[bytes, bytes]:
        key = make_key()
        signed = sign(
            profile_of(subject, self.trust_domain),
            key.public_key(),
            issuer=self._root,
            issuer_key=self._key,
            now_s=time.time() - age_s,
            lifetime_s=lifetime_s,
            serial=next(_serials),
        )
        return chain_pem([signed]).encode(), key_pem(key)
