"""What becomes of the definition (CRD) of a kind before a mesh is installed or upgraded, and why. Pure.

helm makes the definitions of a chart if they are missing and never touches them again, so one that an older OSM left
would stay as it is; to force them over whatever there is would change what other products stand on. So: what is
missing is made, what is ours is brought up to date, what is somebody else's is shared if it will do and else refused.
No version under which the API server has stored objects is ever taken away: they could not be read any more.
"""

import re
from typing import Literal

from msgspec import Struct

from osm.cli.kubernetes.leftovers import is_shared
from osm.contracts import labels
from osm.k8s.objects import Object
from osm.k8s.resource import Resource

Step = Literal["make", "update", "leave", "refuse"]

HELM_RELEASE = "meta.helm.sh/release-name"
"""The annotation in which helm says whose an object is."""

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES = ("alpha", "beta", None)


class Version(Struct, frozen=True, kw_only=True):
    """One version of a kind."""

    name: str = ""
    served: bool = False
    storage: bool = False


class Names(Struct, frozen=True, kw_only=True):
    """How a definition calls its kind."""

    kind: str = ""
    plural: str = ""


class DefinitionSpec(Struct, frozen=True, kw_only=True):
    """What a definition defines."""

    group: str = ""
    names: Names = Names()
    versions: tuple[Version, ...] = ()


class DefinitionStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """`stored_versions`: those in which objects may lie in the API server's store."""

    stored_versions: tuple[str, ...] = ()


class Definition(Object, frozen=True, kw_only=True, rename="camel"):
    """A CustomResourceDefinition."""

    spec: DefinitionSpec = DefinitionSpec()
    status: DefinitionStatus = DefinitionStatus()

    @property
    def served(self) -> tuple[str, ...]:
        """The versions that a client may ask for."""
        return tuple(each.name for each in self.spec.versions if each.served)

    @property
    def kind(self) -> Resource:
        """In the version that is stored, which is the one that the mesh reads."""
        version = next(each.name for each in self.spec.versions if each.storage)
        names = self.spec.names
        return Resource(group=self.spec.group, version=version, plural=names.plural, kind=names.kind)


class Verdict(Struct, frozen=True, kw_only=True):
    """What is to be done with the definition `name`. `what` is set if there is something to say of it."""

    name: str
    step: Step
    what: str = ""
    remedy: str = ""


def judge(found: Definition | None, wanted: Definition) -> Verdict:
    """`found`: what the cluster has under the name; `wanted`: the chart's."""
    name = wanted.metadata.name
    if found is None:
        return Verdict(name=name, step="make")
    if found.metadata.going:
        remedy = f"kubectl wait --for=delete crd/{name}, and the same command again"
        return Verdict(name=name, step="refuse", what=f"CRD {name} is being deleted, and its objects", remedy=remedy)
    if is_shared(found, wanted.spec.group):
        return _of_others(found, wanted.kind)
    return _of_ours(found, wanted)


def _of_others(found: Definition, kind: Resource) -> Verdict:
    name = found.metadata.name
    whose = f"CRD {name} is {_origin(found)}"
    if kind.version in found.served:
        remedy = "whoever made it may change it"
        return Verdict(name=name, step="leave", what=f"{whose}; the mesh shares it", remedy=remedy)
    remedy = (
        f"have its product serve {kind.version} too; if that is gone, make it ours, and osm install or osm mesh "
        f"upgrade brings it up to date (its objects stay): kubectl label crd {name} --overwrite "
        f"{labels.APP_NAME}={labels.OSM}"
    )
    return Verdict(name=name, step="refuse", what=f"{whose} and {_served(found, kind)}", remedy=remedy)


def _of_ours(found: Definition, wanted: Definition) -> Verdict:
    name, kind = wanted.metadata.name, wanted.kind
    newer = [each for each in found.served if _rank(each) > _rank(kind.version)]
    if newer and kind.version in found.served:
        return Verdict(name=name, step="leave")
    if newer:
        what = f"CRD {name} is a newer OSM's and {_served(found, kind)}"
        return Verdict(name=name, step="refuse", what=what, remedy="take the osm of that version")
    lost = sorted(set(found.status.stored_versions) - {each.name for each in wanted.spec.versions})
    if lost:
        what = f"CRD {name} has objects stored as {', '.join(lost)}, which this version does not know"
        return Verdict(name=name, step="refuse", what=what, remedy=_stored_anew(found, wanted))
    what = "" if kind.version in found.served else f"CRD {name} is an older OSM's and {_served(found, kind)}"
    return Verdict(name=name, step="update", what=what)


def _served(found: Definition, kind: Resource) -> str:
    return f"serves {', '.join(found.served) or 'nothing'}, not {kind.version}"


def _origin(found: Definition) -> str:
    """Of whom, as far as its marks tell."""
    said = found.metadata.labels.get(labels.APP_NAME) or found.metadata.annotations.get(HELM_RELEASE)
    return f'of another origin ("{said}")' if said else "of another origin"


def _stored_anew(found: Definition, wanted: Definition) -> str:
    """What takes a version out of the store: only reading and writing each object does, and only then may it go."""
    name, known = found.metadata.name, {each.name for each in wanted.spec.versions}
    today = next((each.name for each in found.spec.versions if each.storage), "")
    there = {each.name for each in found.spec.versions} & known
    if not there:
        again = f"write them anew as {wanted.kind.version}"
        return f"kubectl get {name} -A -o yaml saves them, {again}; kubectl delete crd {name}, and they go with it"
    target = today if today in known else max(there, key=_rank)
    first = "" if target == today else f"kubectl edit crd {name}: storage: true at {target} alone; then "
    cut = f'{{"status":{{"storedVersions":["{target}"]}}}}'
    return (
        f"{first}store them as {target}: kubectl get {name} -A -o json | kubectl replace -f -; then "
        f"kubectl patch crd {name} --subresource=status --type=merge -p '{cut}'; and the same command again"
    )


def _rank(version: str) -> tuple[int, int, int]:
    """Kubernetes' order of versions: v1alpha1 < v1alpha2 < v1beta1 < v1; other names come before all."""
    found = _VERSION.fullmatch(version)
    return (_STAGES.index(found[2]), int(found[1]), int(found[3] or 0)) if found else (-1, 0, 0)
