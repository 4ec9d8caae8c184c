"""A folder of manifests that has one file, `town.yaml`: the objects in it that are in force."""

from msgspec import Struct

from osm.manifests import Scan, yaml
from osm.manifests.last_good import InForce, in_force
from osm.manifests.workloads import parse


def in_force_of(text: str, before: InForce[Struct] | None = None) -> InForce[Struct]:
    reading = yaml.read(text, "town.yaml")
    return in_force(Scan(documents=reading.documents, problems=reading.problems), parse, before)
