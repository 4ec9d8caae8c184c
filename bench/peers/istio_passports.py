"""Certificates for Istio's proxies and for istiod, from a root of their own: Istio reads other SPIFFE names than xds.

A proxy is `spiffe://<trust domain>/ns/<ns>/sa/<sa>` there, without an id of its own.
"""

import time

from bench.client_certificates import Passport, Passports
from bench.world import NAMESPACE, World
from osm.contracts.names import Identity
from osm.contracts.trust import ControlPlane, MeshLeaf
from osm.pki.issuing import make_root, profile_of, sign
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem

TRUST_DOMAIN = "cluster.local"
SERVER_NAME = "istiod.istio-system.svc"
LIFETIME_S = 3600


def issue(world: World) -> Passports:
    """Proxies of one identity share a certificate: only its names matter."""
    root_key, now_s = make_key(), time.time()
    root = make_root(root_key, trust_domain=TRUST_DOMAIN, now_s=now_s, lifetime_s=LIFETIME_S, serial=1)

    def passport(name: str, subject: MeshLeaf | ControlPlane, serial: int) -> Passport:
        key = make_key()
        leaf = sign(
            profile_of(subject, TRUST_DOMAIN),
            key.public_key(),
            issuer=root,
            issuer_key=root_key,
            now_s=now_s,
            lifetime_s=LIFETIME_S,
            serial=serial,
        )
        return Passport(name=name, chain_pem=chain_pem([leaf]), key_pem=key_pem(key).decode())

    istiod = ControlPlane(identity=Identity("istio-system", "istiod"), dns_names=(SERVER_NAME,))
    return Passports(
        proxies=tuple(
            passport(f"proxy-{at}.{NAMESPACE}", MeshLeaf(identity=world.identity(at)), at + 3)
            for at in range(world.streams)
        ),
        server=passport("istiod", istiod, 2),
        roots_pem=chain_pem([root]),
        server_name=SERVER_NAME,
    )
