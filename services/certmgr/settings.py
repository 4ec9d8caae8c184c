"""What can be set about certmgr: who signs, where a root of its own lies, and how long certificates live."""

from typing import Literal
from urllib.parse import urlsplit

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common

DAY_S = 24 * 3600

LIFETIME_FLOOR_S = 600
"""A certmgr that is down for five minutes must not stop traffic, and a mesh of thousands must not only renew."""

LONGEST_TIMEOUT_S = 10
"""Whoever wants a certificate has given up then (`osm.pki.holder.ANSWER_WITHIN_S`)."""

MOST_AT_ONCE = 64
"""The bus gives a replica no more questions at once (`osm.bus.nats_rpc.AT_ONCE`)."""


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_CERTMGR_…`. A request may ask for less than these lifetimes, never for more."""

    provider: Literal["tresor", "external", "vault", "cert-manager"] = "tresor"
    """Who signs: the built-in root (tresor), a plug-in before any CA (external), HashiCorp Vault, or cert-manager."""
    store: Literal["folder", "kubernetes"] = "folder"
    """Where a root of our own and the record of what was granted are kept: a `folder` of this machine, or the cluster
    (`kubernetes`: a Secret and a ConfigMap)."""
    namespace: str = ROOT_NAMESPACE
    """The control plane's namespace: our services' certificates may name services in it, and the Secret is there."""
    ca_secret: str = "osm-ca-bundle"  # noqa: S105  # its name
    """With store `kubernetes`, the Secret of the root (`ca.crt`, `private.key`); one of OSM's own is taken over."""
    ca_folder: str = "~/.local/state/osm/ca"
    """With store `folder`: the built-in root and the record of what it granted; made with mode 0700."""
    leaf_lifetime_s: int = DAY_S
    """Life of a certificate between workloads, in seconds. OSM's default: 24 hours."""
    proxy_lifetime_s: int = DAY_S
    """Life of a proxy's certificate for xds, in seconds. Kubernetes needs a minute to show a pod a new one."""
    control_lifetime_s: int = DAY_S
    """Life of our own services' certificates, in seconds."""
    gateway_lifetime_s: int = DAY_S
    """The longest life of an ingress gateway's certificate, in seconds."""
    root_lifetime_s: int = 3650 * DAY_S
    """Life of the built-in root, in seconds; it bounds every other life. OSM's default: ten years."""
    root_file: str = ""
    """With another provider than tresor: a file with its root certificate, PEM. Else the provider is asked for it."""
    ca_timeout_s: float = 8.0
    """With another provider: how long it has for an answer, in seconds. Who wants a certificate waits for ten."""
    ca_concurrency: int = 16
    """With another provider: how many certificates are asked for at once; more wait their turn, within the timeout."""
    external_address: str = ""
    """With provider external: the plug-in, `host:port` (TLS) or `unix:/path` (a socket of mode 0600)."""
    external_ca_file: str = ""
    """The roots that the plug-in's own certificate must lead to, PEM. Read again when it changes."""
    external_certificate_file: str = ""
    """certmgr's own certificate towards the plug-in, PEM; empty shows none. Read again when it changes."""
    external_key_file: str = ""
    """The key of that certificate, PEM, of mode 0600."""
    external_server_name: str = ""
    """The name in the plug-in's certificate, if it is not the host of the address."""
    vault_address: str = ""
    """With provider vault: `https://host:port`; plain `http` is allowed on this machine only (a Vault agent)."""
    vault_mount: str = "pki"
    """Where the PKI engine is mounted."""
    vault_role: str = "openservicemesh"
    """The role that signs for workloads and for the control plane: for client and server use. OSM's default name."""
    vault_proxy_role: str = ""
    """The role that signs for proxies towards xds, for client use alone (`server_flag=false`); empty is the other."""
    vault_token_file: str = ""
    """The token, in a file of mode 0600 or a mounted Secret. It is read for every call, and renewed if it can be."""
    vault_namespace: str = ""
    """The namespace in Vault, where there are any."""
    vault_ca_file: str = ""
    """The roots that Vault's own certificate must lead to, PEM; empty takes those of the system."""
    cert_manager_issuer: str = "osm-ca"
    """With provider cert-manager: the issuer; one that is no ClusterIssuer is in the control plane's namespace."""
    cert_manager_kind: str = "Issuer"
    """Its kind: `Issuer`, `ClusterIssuer`, or that of another program."""
    cert_manager_group: str = "cert-manager.io"
    """Its API group."""
    allow_short_lifetimes: bool = False
    """Allow lives below 10 minutes: for tests and demonstrations of rotation."""

    @property
    def floor_s(self) -> int:
        return 1 if self.allow_short_lifetimes else LIFETIME_FLOOR_S

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("leaf_lifetime_s", "proxy_lifetime_s", "control_lifetime_s", "gateway_lifetime_s"):
            self._require(field, self.floor_s, self.root_lifetime_s)
        self._require("root_lifetime_s", self.floor_s, 100 * 365 * DAY_S)
        if not 0 < self.ca_timeout_s < LONGEST_TIMEOUT_S:
            allowed = f"seconds from above 0 to below {LONGEST_TIMEOUT_S}"
            raise ValueError(f"ca_timeout_s: found {self.ca_timeout_s:g}, allowed are {allowed}")
        if not 1 <= self.ca_concurrency <= MOST_AT_ONCE:
            raise ValueError(f"ca_concurrency: found {self.ca_concurrency}, allowed are 1 to {MOST_AT_ONCE}")
        self._require_provider()

    def _require_provider(self) -> None:
        """Raises ValueError for what the chosen provider lacks."""
        if self.provider == "external":
            self._require_external()
        elif self.provider == "vault":
            self._require_vault()
        elif self.provider == "cert-manager" and not (self.cert_manager_issuer and self.cert_manager_kind):
            raise ValueError("cert_manager_issuer: found no name or no kind, allowed are those of an issuer")

    def _require_external(self) -> None:
        address = self.external_address
        is_socket = address.startswith("unix:/")
        host, _, port = address.rpartition(":")
        if not is_socket and not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise ValueError(f"external_address: found {address!r}, allowed are host:port and unix:/path")
        if not is_socket and not self.external_ca_file:
            raise ValueError(
                "external_ca_file: found nothing, allowed is the file with the roots of the plug-in's certificate; "
                "plain text is spoken over a Unix socket alone"
            )
        if bool(self.external_certificate_file) != bool(self.external_key_file):
            raise ValueError("external_key_file: found a certificate or a key alone, allowed are both or neither")

    def _require(self, field: str, least: int, most: int) -> None:
        if not least <= (found := getattr(self, field)) <= most:
            hint = "" if self.allow_short_lifetimes else "; OSM_CERTMGR_ALLOW_SHORT_LIFETIMES=1 allows less"
            raise ValueError(f"{field}: found {found} seconds, allowed are {least} to {most}{hint}")

    def _require_vault(self) -> None:
        url = urlsplit(self.vault_address)
        is_here = url.hostname in {"localhost", "127.0.0.1", "::1"}
        if not url.hostname or url.scheme not in ({"http", "https"} if is_here else {"https"}):
            allowed = "https://host:port, and http on this machine alone: the token that goes there signs for the mesh"
            raise ValueError(f"vault_address: found {self.vault_address!r}, allowed is {allowed}")
        for field in ("vault_mount", "vault_role", "vault_token_file"):
            if not getattr(self, field):
                raise ValueError(f"{field}: found nothing, and provider vault needs it")
