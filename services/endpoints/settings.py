"""What an operator may set of `endpoints`."""

from typing import Literal

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_ENDPOINTS_…`, else `OSM_…`."""

    platform: Literal["folder", "kubernetes"] = "folder"
    """`folder`: manifests, run as processes; `kubernetes`: the cluster the pod is in, or that of $KUBECONFIG."""
    mesh_name: str = "osm"
    """On Kubernetes, the mesh: namespaces labelled `openservicemesh.io/monitored-by` with this name are in it."""
    namespace: str = ROOT_NAMESPACE
    """On Kubernetes, the control plane's own namespace, which is never in the mesh."""
    folder: str = "."
    """The folder of manifests (or one file), the same that `local` and `meshspec` read."""
    isolated: bool = False
    """Whether workloads have a network of their own, without root (`osm up --isolated`): then every Service has an
    address in it."""
