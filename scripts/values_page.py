"""docs/kubernetes-values.md: every value of the chart, from the comments of its values.yaml.

The comment above a value says what it does; a value that nothing explains is refused. What OSM had and the chart has
not comes from files/removed.yaml, which the chart itself answers with.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

CHART = Path(__file__).resolve().parent.parent / "deploy" / "chart"

FIRST_CONFIG = "The first MeshConfig"
SERVICES = "Our services"
TABLE = "| value | default | what it does |\n|---|---|---|\n"

INTRODUCTION = """\
# Values of the chart

Made by `make docs` from `deploy/chart`; do not edit.

`osm install --set KEY=VALUE`, `osm install -f FILE`, or helm itself with `deploy/chart`. Names, meanings and defaults
are those of Open Service Mesh 1.2, unless it says *new* or what differs. A value that the chart does not know, or that
cannot be, is refused with its name.

Keys and passwords are in no release: the Job `osm-prepare-…` makes the Secrets `osm-ca-bundle` (the mesh's root, unless
[another issues certificates](certificates.md)), `osm-nats-…` (the bus's certificate, users and signing keys) and
`osm-metrics` (the token for `/metrics`) when they are not there, and pods wait for them. It runs at every upgrade too,
keeps what is there, and renews the bus's certificate in the last third of its ten years;
`kubectl -n osm-system rollout restart sts/osm-nats` then puts it to use. So
`helm template --include-crds … | kubectl apply -f -` installs the same mesh, for GitOps, in a namespace that exists.

helm itself makes CRDs that are missing and never changes one that is there. `osm install` and `osm mesh upgrade` do
both first: they make what is missing, bring up to date what is labelled `app.kubernetes.io/name: openservicemesh.io`,
share what another product brought if it serves the version that the mesh reads, and otherwise say what to do. With
helm alone, `kubectl apply --server-side --force-conflicts -f` the chart's folder `crds`; look first whose they are.
"""

ABOUT: Mapping[str, str] = {
    FIRST_CONFIG: """\
These are written into MeshConfig `osm-mesh-config` when the mesh is new. From then on that object counts
(`kubectl edit meshconfig osm-mesh-config -n osm-system`), and no upgrade changes it back.

""",
}
"""Section → what is to be said before its table."""

SIZES = """\
`osm.{names}` and `osm.nats` each take:

| value | default | what it does |
|---|---|---|
| `replicaCount` | {replicas} | how many there are |
| `resource` | see [values.yaml](../deploy/chart/values.yaml) | requests and limits of the container |
| `podLabels` | `{{}}` | more labels of the pods |
| `nodeSelector`, `tolerations`, `affinity` | none | where the pods run; replicas are spread over nodes anyway |
| `enablePodDisruptionBudget` | `true` | one pod at a time may be taken away; OSM 1.2: `false` |
| `autoScale` | off | {scaled} grow and shrink with their load; below it what OSM 1.2 has |

"""

REMOVED = """\
## Values of OSM 1.2 that are not here

Setting one is an error that says what there is instead. What asks for nothing (`osm.deployGrafana: false`) passes.

| value | instead |
|---|---|
"""

COMMON = {
    "replicaCount", "resource", "podLabels", "nodeSelector", "tolerations", "affinity", "enablePodDisruptionBudget",
    "autoScale",
}  # fmt: skip
"""What every service takes, explained once."""


class Entry(Struct, frozen=True, kw_only=True):
    """A key of values.yaml: its path, the comment right above it, and the section it is in."""

    path: str
    says: str
    section: str


def render() -> str:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    rows: dict[str, str] = {}
    for entry in entries(text):
        rows[entry.section] = rows.get(entry.section, "") + _row(entry, _at(values, entry.path))
    sections = [f"## {name}\n\n{_about(name, values)}{TABLE}{lines}" for name, lines in rows.items() if lines]
    return "\n".join([INTRODUCTION, *sections, REMOVED + "".join(_removed())])


def entries(text: str) -> Iterator[Entry]:
    """Every key, in the file's order. A blank line parts a comment from what follows it."""
    path: list[tuple[int, str]] = []
    above: list[str] = []
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        indent = len(line) - len(stripped)
        if stripped.startswith("# =="):
            section, above = stripped.removeprefix("# ==").strip(), []
        elif stripped.startswith("#"):
            above.append(stripped[1:].strip())
        elif found := re.match(r"([A-Za-z]+):", stripped):
            path = [*((depth, name) for depth, name in path if depth < indent), (indent, found[1])]
            yield Entry(path=".".join(name for _, name in path), says=" ".join(above), section=section)
            above = []
        else:
            above = []


def _row(entry: Entry, value: Any) -> str:
    """Empty for what is explained elsewhere. Raises ValueError for a value that nothing explains."""
    if not entry.says:
        _require_explained(entry, value)
        return ""
    default = "see above" if _is_service(value) else _default(value)
    return f"| `{entry.path}` | {default} | {entry.says.replace('|', chr(92) + '|')} |\n"


def _require_explained(entry: Entry, value: Any) -> None:
    parents = entry.path.split(".")
    if not isinstance(value, dict) and not COMMON & set(parents) and "digest" not in parents:
        raise ValueError(f"deploy/chart/values.yaml: {entry.path} has no comment")


def _about(section: str, values: Mapping[str, Any]) -> str:
    if section != SERVICES:
        return ABOUT.get(section, "")
    services = {name: value for name, value in values["osm"].items() if _is_service(value)}
    return SIZES.format(
        names="`, `osm.".join(name for name in services if name != "nats"),
        replicas=", ".join(f"{name} {value['replicaCount']}" for name, value in services.items()),
        scaled=", ".join(name for name, value in services.items() if "autoScale" in value),
    )


def _removed() -> Iterator[str]:
    for each in yaml.safe_load((CHART / "files" / "removed.yaml").read_text(encoding="utf-8"))["removed"]:
        yield f"| `{each['value']}` | {each['instead']} |\n"


def _is_service(value: Any) -> bool:
    return isinstance(value, dict) and "replicaCount" in value


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values


def _default(value: Any) -> str:
    if isinstance(value, dict) and not any(value.values()):
        return "none"
    if value == "":
        return "empty"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"
