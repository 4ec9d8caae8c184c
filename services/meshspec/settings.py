"""What an operator may set of `meshspec`."""

from typing import Literal

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_MESHSPEC_…`, else `OSM_…`."""

    platform: Literal["folder", "kubernetes"] = "folder"
    """Where policies are: `folder`: in files; `kubernetes`: in the cluster the pod is in, or that of $KUBECONFIG."""
    mesh_name: str = "osm"
    """On Kubernetes, the mesh: policies count in namespaces labelled `openservicemesh.io/monitored-by` with it."""
    namespace: str = ROOT_NAMESPACE
    """On Kubernetes, the control plane's own namespace: its MeshConfig `osm-mesh-config` is the one that counts."""
    folder: str = "."
    """The folder of manifests (or one file); policies are read, kinds of other services are left to them."""
