"""All problems of a folder's text, for `osm policy check -f FOLDER`: what can be said without a mesh.

Whether references lead anywhere is the catalog's to say; the CLI puts the two together.
"""

from osm.contracts.policies import AnyPolicy
from osm.contracts.problem import Problem
from osm.manifests import RawDocument, Scan
from osm.smi import onemesh
from osm.smi.groups import is_policy
from osm.smi.parsing import parse


def check(scan: Scan) -> tuple[tuple[tuple[RawDocument, AnyPolicy], ...], tuple[Problem, ...]]:
    """The policies that are valid in themselves, each with its document, and all problems in order of place."""
    sound: list[tuple[RawDocument, AnyPolicy]] = []
    problems = list(scan.problems)
    for raw in scan.documents:
        if not is_policy(raw):
            continue
        parsed = parse(raw)
        problems += parsed.problems
        if parsed.object is not None:
            sound.append((raw, parsed.object))
    mesh = onemesh.chosen(raw.ref for raw, _ in sound)
    others = [raw for raw, _ in sound if raw.kind == onemesh.MESH_CONFIG and raw.ref != mesh]
    problems += [raw.problem("metadata.name", onemesh.complaint(mesh)) for raw in others if mesh is not None]
    sound = [(raw, policy) for raw, policy in sound if raw not in others]
    problems.sort(key=lambda each: (each.file or "", each.line or 0, each.field, each.what))
    return tuple(sound), tuple(problems)
