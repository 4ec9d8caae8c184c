"""How things are called: identities, services, users' objects, proxies.

A name is compared, sorted and printed all over the mesh, so each has one type and one spelling.
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

DnsLabel = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$(?!\n)", max_length=63)]
"""A Kubernetes namespace or service name (RFC 1123 label). To Python, `$` alone is before a closing line break too."""

DnsName = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$(?!\n)", max_length=253)]
"""A Kubernetes object name (RFC 1123 subdomain); may hold dots, never `_`, nor anything that a subject may not."""

Port = Annotated[int, Meta(ge=1, le=65535)]

ROOT_NAMESPACE = "osm-system"
"""Where the control plane lives; its identities are reserved (no workload may run under them)."""

_SPIFFE = re.compile(
    r"spiffe://(?P<trust_domain>[a-z0-9.-]+)/ns/(?P<namespace>[a-z0-9-]+)/sa/(?P<account>[a-z0-9.-]+)"
    r"(?:/proxy/(?P<proxy>[A-Za-z0-9.-]+))?"
)


class Identity(Struct, frozen=True, order=True, omit_defaults=True):
    """Who a workload is: a service account in a namespace."""

    namespace: DnsLabel
    account: DnsName

    def __str__(self) -> str:
        return f"{self.namespace}/{self.account}"

    def spiffe(self, trust_domain: str) -> str:
        """The URI a mesh leaf certificate carries."""
        return f"spiffe://{trust_domain}/ns/{self.namespace}/sa/{self.account}"

    def dns(self, trust_domain: str) -> str:
        """The DNS name a mesh leaf carries beside the URI: OSM's principal form."""
        return f"{self.account}.{self.namespace}.{trust_domain}"

    def proxy_spiffe(self, trust_domain: str, proxy_id: str) -> str:
        """The URI of the certificate a proxy shows to xds, and to nobody else."""
        return f"{self.spiffe(trust_domain)}/proxy/{proxy_id}"


XDS_IDENTITY = Identity(ROOT_NAMESPACE, "osm-xds")
"""What the server certificate of xds must say; every proxy's bootstrap pins it."""

INJECTOR_IDENTITY = Identity(ROOT_NAMESPACE, "osm-injector")
"""Who serves the admission webhooks."""


class SpiffeId(Struct, frozen=True):
    """A SPIFFE URI of ours, taken apart; `proxy_id` is set in a proxy's certificate for xds only."""

    trust_domain: str
    identity: Identity
    proxy_id: str | None = None

    @classmethod
    def parse(cls, uri: str) -> "SpiffeId | None":
        """None if the URI is not one that this mesh would write."""
        found = _SPIFFE.fullmatch(uri)
        if found is None:
            return None
        return cls(
            trust_domain=found["trust_domain"],
            identity=Identity(found["namespace"], found["account"]),
            proxy_id=found["proxy"],
        )


class ServiceName(Struct, frozen=True, order=True, omit_defaults=True):
    """A service as clients know it."""

    namespace: DnsLabel
    name: DnsLabel

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def fqdn(self) -> str:
        """The name in the cluster's DNS; also the SNI between sidecars, whatever the trust domain is."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"


class ObjectRef(Struct, frozen=True, order=True, omit_defaults=True):
    """One object that a user wrote: what an error or a status line speaks of.

    `namespace` is empty for objects that have none (a Namespace).
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Address(Struct, frozen=True, order=True, omit_defaults=True):
    """Where to connect: an IP address and a TCP port."""

    host: str
    port: Port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
