"""What an operator may set of `injector`."""

from typing import Annotated, Literal

from msgspec import Meta

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_INJECTOR_…`, else `OSM_…`."""

    namespace: str = ROOT_NAMESPACE
    """The namespace of the control plane: no pod in it gets a sidecar, and sidecars find xds in it."""
    mesh: str = "osm"
    """The mesh's name: which namespaces are ours (`openservicemesh.io/monitored-by`), and which webhooks."""
    kubeconfig: str = ""
    """A kubeconfig file; empty takes $KUBECONFIG, ~/.kube/config, or the pod's own service account."""
    listen: str = "0.0.0.0:9090"
    """Where the API server posts its reviews, over TLS: `host:port`."""
    xds: str = ""
    """Where sidecars find xds, `host:port`; empty is port 15128 of the Service osm-xds beside us."""
    envoy_image: str = "envoyproxy/envoy:v1.40.0"
    """The sidecar's image, unless the MeshConfig names one."""
    init_image: str = "openservicemesh/osm-init:latest"
    """The image that loads the redirect rules, unless the MeshConfig names one."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Of both images."""
    native_sidecars: Literal["auto", "always", "never"] = "auto"
    """Whether the sidecar is an init container that keeps running, so that it starts before the app and ends after it;
    `auto` does so from Kubernetes 1.29 on. A pod's annotation `openservicemesh.io/native-sidecar` overrules it."""
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 2
    """A sidecar's worker threads, unless its CPU limit says otherwise."""
    drain_s: Annotated[int, Meta(ge=0, le=600)] = 5
    """For how many seconds a sidecar of a pod that ends goes on serving what is under way; 0 ends it at once."""
    load_reports: bool = False
    """Whether sidecars tell xds how many of their requests fail, for `OSM_XDS_CANARY_TRAFFIC_S`; a connection each."""
    reviews_at_once: Annotated[int, Meta(ge=1)] = 32
    """Reviews that are answered at a time; more wait for their turn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        host, _, port = self.xds.rpartition(":")
        if self.xds and not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"xds: found {self.xds!r}, allowed is host:port")
