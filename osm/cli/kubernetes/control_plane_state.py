"""The state of one control plane, read by `survey`. Pure."""

from msgspec import Struct

from osm.cli.kubernetes.kubernetes_objects import Pod, Workload
from osm.cli.kubernetes.pod_problems import Trouble


class ControlPlaneState(Struct, frozen=True, kw_only=True):
    """How a control plane stands: which of its workloads are ready, and what keeps the others."""

    workloads: tuple[Workload, ...] = ()
    pods: tuple[Pod, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def ready(self) -> int:
        return sum(each.ready for each in self.workloads)
