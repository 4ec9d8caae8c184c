"""What can be set about certmgr: where its root lies, and how long certificates live."""

from typing import Literal

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common

DAY_S = 24 * 3600

LIFETIME_FLOOR_S = 600
"""A certmgr that is down for five minutes must not stop traffic, and a mesh of thousands must not only renew."""


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_CERTMGR_…`. A request may ask for less than these lifetimes, never for more."""

    store: Literal["folder", "kubernetes"] = "folder"
    """Where the built-in root is kept: a `folder` of this machine, or a Secret of the cluster (`kubernetes`)."""
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
    root_lifetime_s: int = 3650 * DAY_S
    """Life of the built-in root, in seconds; it bounds every other life. OSM's default: ten years."""
    allow_short_lifetimes: bool = False
    """Allow lives below 10 minutes: for tests and demonstrations of rotation."""

    @property
    def floor_s(self) -> int:
        return 1 if self.allow_short_lifetimes else LIFETIME_FLOOR_S

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("leaf_lifetime_s", "proxy_lifetime_s", "control_lifetime_s"):
            self._require(field, self.floor_s, self.root_lifetime_s)
        self._require("root_lifetime_s", self.floor_s, 100 * 365 * DAY_S)

    def _require(self, field: str, least: int, most: int) -> None:
        if not least <= (found := getattr(self, field)) <= most:
            hint = "" if self.allow_short_lifetimes else "; OSM_CERTMGR_ALLOW_SHORT_LIFETIMES=1 allows less"
            raise ValueError(f"{field}: found {found} seconds, allowed are {least} to {most}{hint}")
