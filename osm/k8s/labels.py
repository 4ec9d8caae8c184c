"""Labels by which a namespace is in a mesh, as OSM spells them. Pure."""

from collections.abc import Mapping
from typing import Final

MONITORED_BY: Final = "openservicemesh.io/monitored-by"
"""On a namespace: the name of the mesh it is in."""

IGNORE: Final = "openservicemesh.io/ignore"
"""On a namespace: the mesh leaves it alone, whatever else it says; any value counts."""


def monitored(labels: Mapping[str, str], mesh_name: str) -> bool:
    """Whether a namespace with these labels is in the mesh."""
    return labels.get(MONITORED_BY) == mesh_name and IGNORE not in labels
