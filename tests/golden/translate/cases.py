"""Golden cases of the translator: a folder holds `input.yaml` and, for each type of resource, what must come out.

Shared by the tests that compare, the walk for deprecated fields, and the real Envoy that must take every case.
"""

from pathlib import Path
from typing import Any

import msgspec
import yaml
from google.protobuf.json_format import MessageToDict
from msgspec import Struct

from osm.contracts.catalog import MeshService, Policy
from osm.contracts.endpoints import Workload
from osm.contracts.policy import Mesh
from osm.contracts.telemetry import AccessLog
from services.xds.translate import Built, Translation, View, load_assignment, translate

HERE = Path(__file__).parent
INPUT = "input.yaml"


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One proxy and what it may know."""

    about: str
    workload: Workload
    trust_domain: str = "cluster.local"
    mesh: Mesh = Mesh(permissive=False, egress=False)
    policy: Policy | None = None
    services: tuple[MeshService, ...] = ()
    access_log: AccessLog | None = None

    @property
    def view(self) -> View:
        return View(
            trust_domain=self.trust_domain,
            mesh=self.mesh,
            policy=self.policy,
            services={each.service.name: each for each in self.services},
            access_log=self.access_log,
        )

    def translate(self) -> Translation:
        return translate(self.workload, self.view)

    def assignments(self, translation: Translation) -> tuple[Built, ...]:
        services = self.view.services
        return tuple(
            Built(name=key.name, message=load_assignment(key, services[key.service])) for key in translation.assignments
        )


def names() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob(f"*/{INPUT}"))


def read(name: str) -> Case:
    return msgspec.yaml.decode((HERE / name / INPUT).read_bytes(), type=Case)


def rendered(case: Case) -> dict[str, str]:
    """File name to content, for every type that has any resource."""
    translation = case.translate()
    built = {
        "clusters.yaml": translation.clusters,
        "listeners.yaml": translation.listeners,
        "routes.yaml": translation.routes,
        "assignments.yaml": case.assignments(translation),
    }
    return {name: _yaml([_entry(one) for one in some]) for name, some in built.items() if some}


def _entry(built: Built) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": built.name}
    if built.origins:
        entry["origins"] = [str(origin) for origin in built.origins]
    return entry | {"message": _ordered(MessageToDict(built.message, preserving_proto_field_name=True))}


JSON = "json_format"
"""A map of which any value may be one again."""

MAPS = frozenset({JSON, "policies", "typed_extension_protocol_options", "typed_per_filter_config"})
"""Protobuf's maps among our fields; they come in any order, so they are sorted to be compared as text."""


def _ordered(value: Any, field: str = "") -> Any:
    if isinstance(value, dict):
        items = sorted(value.items()) if field in MAPS else value.items()
        return {key: _ordered(inner, field if field == JSON else key) for key, inner in items}
    return [_ordered(inner) for inner in value] if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """Lists indented, no anchors: a golden file is read by people."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _yaml(content: object) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110)
