"""What has been read of a cluster: its policies by kind, and which namespaces are in the mesh. Pure.

Turned into the same `Scan` that a folder gives, so that everything behind it is the same. As in OSM, a policy counts
only in a namespace of the mesh, and of all MeshConfigs only `osm-mesh-config` beside the control plane does. A
Telemetry there counts too (in OSM 1.3 it did not, though it was meant for the whole mesh), and an ExtensionService.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from osm.contracts.labels import MONITORED_BY, monitored
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.k8s.objects import Namespace
from osm.k8s.resource import EXTENSION_SERVICES, MESH_CONFIGS, NAMESPACES, TELEMETRIES, Resource
from osm.k8s.watch_state import Key, Seen
from osm.manifests import RawDocument, Scan
from osm.smi import onemesh
from osm.smi.telemetry import TELEMETRY_NAME

Body = Mapping[str, Any]

_METADATA = ("name", "namespace", "labels", "annotations")
"""What users write of it; the rest is the server's, and changes without a change of meaning."""


class Standing(Struct, frozen=True, kw_only=True):
    """What an object says of itself now: which version it is, and what was said of it before."""

    what: Resource
    uid: str = ""
    generation: int = 0
    current: str = ""
    reason: str = ""
    observed: int = 0


class _Read(Struct, frozen=True):
    document: RawDocument
    standing: Standing


class ClusterState:
    """The newest of everything that was heard."""

    def __init__(self, mesh_name: str, namespace: str, kinds: Iterable[Resource]) -> None:
        self.mesh_name = mesh_name
        self._mesh_config = (namespace, onemesh.MESH_CONFIG_NAME)
        self._objects: dict[Resource, dict[Key, _Read] | None] = dict.fromkeys(kinds)
        self._labels: dict[str, Mapping[str, str]] | None = None
        self._last_settings: RawDocument | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Kinds without a full picture yet."""
        unread = [str(NAMESPACES)] if self._labels is None else []
        unread += [str(what) for what, found in self._objects.items() if found is None]
        return tuple(f"the full picture of {kind}" for kind in unread)

    def namespaces(self, seen: Seen[Namespace]) -> None:
        labels: dict[str, Mapping[str, str]] = {} if seen.full or self._labels is None else self._labels
        for (_, name), found in seen.objects.items():
            if found is None:
                labels.pop(name, None)
            else:
                labels[name] = found.metadata.labels
        self._labels = labels

    def objects(self, what: Resource, seen: Seen[dict[str, Any]]) -> None:
        before = self._objects[what] or {}
        now = {} if seen.full else before
        for key, body in seen.objects.items():
            if body is None:
                now.pop(key, None)
            else:
                now[key] = _read(what, key, body, before.get(key))
        self._objects[what] = now
        if what == MESH_CONFIGS and self._mesh_config in now:
            self._last_settings = now[self._mesh_config].document

    def scan(self) -> Scan:
        """The policies that count. The others are warned about, unless they are another mesh's."""
        documents: list[RawDocument] = []
        problems: list[Problem] = []
        for what, key, read in self._all():
            if why := self._why_not(what, key):
                problems.append(read.document.problem("metadata.namespace", why, "warning"))
            elif self._counts(what, key):
                documents.append(read.document)
        if self._has_lost_settings():
            problems.append(self._without_settings())
            documents += [self._last_settings] if self._last_settings is not None else []
        documents.sort(key=lambda document: document.ref)
        return Scan(documents=tuple(documents), problems=tuple(problems))

    def standing(self, ref: ObjectRef) -> Standing | None:
        """Of an object that counts; None if it is gone, or none of ours."""
        for what, found in self._objects.items():
            key = (ref.namespace, ref.name)
            if what.kind == ref.kind and found and key in found and self._counts(what, key):
                return found[key].standing
        return None

    def _has_lost_settings(self) -> bool:
        configs = self._objects.get(MESH_CONFIGS)
        return configs is not None and self._mesh_config not in configs

    def _without_settings(self) -> Problem:
        """Who removes the object has not asked for its defaults, which are open."""
        what = "there is no such object; its last form stays in force until `osm mesh upgrade` or you apply one"
        return Problem(subject=ObjectRef(MESH_CONFIGS.kind, *self._mesh_config), field="metadata.name", what=what)

    def _all(self) -> Iterator[tuple[Resource, Key, _Read]]:
        for what, found in self._objects.items():
            for key, read in (found or {}).items():
                yield what, key, read

    def _counts(self, what: Resource, key: Key) -> bool:
        if what == MESH_CONFIGS:
            return key == self._mesh_config
        is_for_all = what in (TELEMETRIES, EXTENSION_SERVICES) and key[0] == self._mesh_config[0]
        return is_for_all or monitored(self._labels_of(key[0]), self.mesh_name)

    def _why_not(self, what: Resource, key: Key) -> str:
        """Why an object that is meant for this mesh has no effect; empty if it has, or if it is not meant for us."""
        namespace, name = key
        if self._counts(what, key):
            return ""
        if what == MESH_CONFIGS:
            ours = ObjectRef(what.kind, *self._mesh_config)
            return "" if name == onemesh.MESH_CONFIG_NAME else f"no effect: the mesh has one MeshConfig, {ours}"
        if MONITORED_BY in self._labels_of(namespace) or (what, name) == (TELEMETRIES, TELEMETRY_NAME):
            return ""
        return f"no effect: namespace {namespace} is not in the mesh; `osm namespace add {namespace}` adds it"

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        return (self._labels or {}).get(namespace, {})


def _read(what: Resource, key: Key, body: Body, before: _Read | None) -> _Read:
    """The document is the same object as long as its author has changed nothing: then it need not be parsed again."""
    metadata, status = body.get("metadata", {}), body.get("status") or {}
    namespace, name = key
    written = {
        "apiVersion": what.api_version,
        "kind": what.kind,
        "metadata": {field: metadata[field] for field in _METADATA if field in metadata},
        **{field: value for field, value in body.items() if field not in ("apiVersion", "kind", "metadata", "status")},
    }
    standing = Standing(
        what=what,
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        current=str(status.get("currentStatus", "")),
        reason=str(status.get("reason", "")),
        observed=int(status.get("observedGeneration", 0)),
    )
    if before is not None and before.document.body == written:
        return _Read(before.document, standing)
    document = RawDocument(kind=what.kind, api_version=what.api_version, namespace=namespace, name=name, body=written)
    return _Read(document, standing)
