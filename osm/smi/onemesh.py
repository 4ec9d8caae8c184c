"""Which MeshConfig counts, if there are several: the mesh has one set of settings.

Apart from the settings, since this is a rule about objects beside one another, and all others are about one.
"""

from collections.abc import Iterable

from osm.contracts.names import ObjectRef

MESH_CONFIG = "MeshConfig"

MESH_CONFIG_NAME = "osm-mesh-config"
"""The name that OSM's own installation gives it."""


def chosen(found: Iterable[ObjectRef]) -> ObjectRef | None:
    """The MeshConfig that counts: the one with OSM's name, else the first by namespace and name."""
    meshes = (ref for ref in found if ref.kind == MESH_CONFIG)
    return min(meshes, key=lambda ref: (ref.name != MESH_CONFIG_NAME, ref), default=None)


def complaint(counts: ObjectRef) -> str:
    """What to say of every other one, at its metadata.name."""
    return f"the mesh has one MeshConfig, and {counts} counts; remove this one"
