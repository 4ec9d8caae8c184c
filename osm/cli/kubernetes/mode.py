"""Whether the mesh enforces policies, as its MeshConfig says, and the command that changes it. Pure."""

from collections.abc import Iterator

from msgspec import Struct, field

from osm.k8s.objects import Object
from osm.smi.onemesh import MESH_CONFIG_NAME


class Traffic(Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of a MeshConfig that decides. Absent fields are OSM's defaults."""

    permissive: bool = field(name="enablePermissiveTrafficPolicyMode", default=True)
    egress: bool = field(name="enableEgress", default=True)


class Spec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A MeshConfig's."""

    traffic: Traffic = Traffic()


class MeshConfig(Object, frozen=True, kw_only=True, rename="camel"):
    """Mesh-wide settings."""

    spec: Spec = Spec()


def told(config: MeshConfig | None, namespace: str) -> Iterator[str]:
    """The mode in words, and how to change it. No MeshConfig means the defaults."""
    if is_permissive(config):
        yield "traffic policies: permissive; every workload of the mesh may talk to every other, over mutual TLS"
        yield f"  enforce them: {switch(namespace, permissive=False)}"
    else:
        yield "traffic policies: enforced; what no TrafficTarget allows is denied"
        yield f"  permissive:   {switch(namespace, permissive=True)}"


def is_permissive(config: MeshConfig | None) -> bool:
    return (config or MeshConfig()).spec.traffic.permissive


def switch(namespace: str, *, permissive: bool) -> str:
    """The command that changes the mode of a running mesh."""
    wanted = f'{{"spec":{{"traffic":{{"enablePermissiveTrafficPolicyMode":{str(permissive).lower()}}}}}}}'
    return f"kubectl patch meshconfig {MESH_CONFIG_NAME} -n {namespace} --type=merge -p '{wanted}'"
