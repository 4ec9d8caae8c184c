"""How a control plane stands. Pure; `survey` reads it."""

from msgspec import Struct

from osm.cli.kubernetes.observed import Pod, Workload
from osm.cli.kubernetes.troubles import Trouble


class Standing(Struct, frozen=True, kw_only=True):
    """How a control plane stands: which of its workloads are ready, and what keeps the others."""

    workloads: tuple[Workload, ...] = ()
    pods: tuple[Pod, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def ready(self) -> int:
        return sum(each.ready for each in self.workloads)
