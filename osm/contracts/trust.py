"""Certificates on the bus: requests, chains, bundles. Never a private key.

Who needs a certificate makes its own key and sends a certificate signing request (PKCS #10, PEM);
the answer is a chain. What the certificate says is decided by certmgr from `subject`, never from the request.
"""

from msgspec import Struct

from osm.contracts.names import Identity


class MeshLeaf(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="leaf"):
    """Between workloads: `spiffe://<td>/ns/<ns>/sa/<sa>` and OSM's DNS name, client and server use."""

    identity: Identity


class ProxyClient(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="proxy"):
    """A proxy towards xds: `…/proxy/<proxy id>`, client use only, refused between workloads."""

    identity: Identity
    proxy_id: str


class ControlPlane(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="control"):
    """A service of ours; only that service itself may ask."""

    identity: Identity
    dns_names: tuple[str, ...] = ()


class Gateway(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="gateway"):
    """An ingress gateway towards sidecars: these DNS names and client use alone. No SPIFFE URI, so between workloads it
    is nobody."""

    dns_names: tuple[str, ...]

    def __str__(self) -> str:
        return f"gateway {', '.join(self.dns_names)}"


class SignRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`lifetime_s` asks for less than the configured lifetime; more is cut to it."""

    csr_pem: str
    subject: MeshLeaf | ProxyClient | ControlPlane | Gateway
    lifetime_s: int | None = None


class Chain(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="chain"):
    """Leaf first, PEM. `not_after_s` is seconds since the epoch. `issuer` names the root (key id, hex)."""

    chain_pem: str
    issuer: str
    not_before_s: int
    not_after_s: int


class Refused(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="refused"):
    """Why there is no chain; asking again is of use only if `retry` is true."""

    why: str
    retry: bool = False


class SignReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """certmgr's answer."""

    outcome: Chain | Refused


class Bundle(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The roots that members of a trust domain accept: public, PEM, sorted by key id."""

    trust_domain: str
    roots_pem: tuple[str, ...]
