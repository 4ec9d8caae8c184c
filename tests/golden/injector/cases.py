"""Golden cases of the injector: a folder holds `input.yaml`, and beside it the pod that comes of it and why.

The patch is applied here by the rules of RFC 6902, so that what is compared is what a cluster would store.
"""

import copy
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from osm.contracts.policy import Mesh
from services.injector.admit import admit
from services.injector.decide import Facts, Ours
from services.injector.patch import House
from services.injector.pod import Pod
from services.injector.review import Op

HERE = Path(__file__).parent
INPUT = "input.yaml"
UUID = "11111111-2222-4333-8444-555555555555"
ENABLED = {"openservicemesh.io/sidecar-injection": "enabled"}
OURS = Ours(mesh="osm", namespace="osm-system")


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pod in one namespace."""

    about: str
    pod: dict[str, Any]
    annotations: dict[str, str] = {}
    mesh: Mesh = Mesh()
    native: bool = True
    kubernetes: tuple[int, int] = (1, 35)


def names() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob(f"*/{INPUT}"))


def load(name: str) -> Case:
    return msgspec.convert(yaml.safe_load((HERE / name / INPUT).read_text()), Case)


def house(case: Case) -> House:
    return House(
        envoy_image="envoyproxy/envoy:v1.40.0",
        init_image="openservicemesh/osm-init:v2.0.0",
        pull_policy="IfNotPresent",
        concurrency=2,
        drain_s=5,
        native=case.native,
        kubernetes=case.kubernetes,
    )


def results(case: Case) -> dict[str, str]:
    """File → text."""
    namespace = Facts(
        name="shop", labels={"openservicemesh.io/monitored-by": "osm"}, annotations=case.annotations or ENABLED
    )
    pod = msgspec.convert(case.pod, Pod)
    outcome = admit(pod, namespace, case.mesh, uuid=UUID, ours=OURS, house=house(case))
    said = {"did": outcome.did, "why": outcome.why, "warnings": list(outcome.answer.warnings)}
    files = {"outcome.yaml": _yaml(said)}
    if outcome.answer.patch:
        files["pod.yaml"] = _yaml(patched(case.pod, outcome.answer.patch))
    return files


def patched(pod: dict[str, Any], steps: tuple[Op, ...]) -> dict[str, Any]:
    """Raises KeyError or IndexError where an API server would refuse the patch."""
    whole = copy.deepcopy(pod)
    for step in steps:
        *above, last = (part.replace("~1", "/").replace("~0", "~") for part in step.path.split("/")[1:])
        at: Any = whole
        for part in above:
            at = at[int(part)] if isinstance(at, list) else at[part]
        if step.op == "remove":
            del at[last]
        elif isinstance(at, list):
            at.insert(len(at) if last == "-" else int(last), copy.deepcopy(step.value))
        else:
            at[last] = copy.deepcopy(step.value)
    return whole


class _Text(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _yaml(value: Any) -> str:
    _Text.add_representer(str, _str)
    return yaml.dump(value, Dumper=_Text, sort_keys=True, width=110)


def _str(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
