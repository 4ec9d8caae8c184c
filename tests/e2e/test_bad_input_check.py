"""`osm policy check` on a folder with one mistake of each kind: every line of what it says."""

import json
from pathlib import Path

from osm.cli.output import counted
from osm.testing.mesh import osm

MISTAKES = """\
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: no-such-group, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: api, namespace: shop}
  sources: [{kind: ServiceAccount, name: web, namespace: front}]
  rules: [{kind: HTTPRouteGroup, name: pahts}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: misspelt, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: api, namespace: shop}
  sauces: [{kind: ServiceAccount, name: web, namespace: front}]
  rules: [{kind: HTTPRouteGroup, name: paths}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: elsewhere, namespace: front}
spec:
  destination: {kind: ServiceAccount, name: api, namespace: shop}
  sources: [{kind: ServiceAccount, name: web, namespace: front}]
  rules: [{kind: TCPRoute, name: any}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: paths, namespace: shop}
spec:
  matches:
    - {name: a, pathRegex: "/a(", methods: [FETCH]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: heavy, namespace: shop}
spec:
  service: api
  backends:
    - {service: api-v1, weight: -1}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: early, namespace: shop}
spec:
  service: api
  matches: [{kind: HTTPRouteGroup, name: paths}]
  backends: [{service: api-v1, weight: 1}]
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic: {enablePermissiveTrafficPolicyMode: "yes"}
---
kind: TrafficTarget
metadata: {name: nowhere}
"""
BROKEN = "apiVersion: v1\nkind: [Service\n"

EXPECTED = (
    ("mistakes.yaml:7:", "TrafficTarget shop/no-such-group", "spec.rules[0].name", '"pahts"'),
    ("mistakes.yaml:14:", "TrafficTarget shop/misspelt", "spec.sauces", "did you mean `sources`?"),
    ("mistakes.yaml:21:", "TrafficTarget front/elsewhere", "spec.destination.namespace", 'expected "front"'),
    ("mistakes.yaml:30:", "HTTPRouteGroup shop/paths", "spec.matches[0].pathRegex", "no regular expression for Envoy"),
    ("mistakes.yaml:30:", "HTTPRouteGroup shop/paths", "spec.matches[0].methods[0]", "allowed are *, CONNECT"),
    ("mistakes.yaml:38:", "TrafficSplit shop/heavy", "spec.backends[0].weight", "-1"),
    ("mistakes.yaml:45:", "TrafficSplit shop/early", "spec.matches", "write apiVersion: split.smi-spec.io/v1alpha4"),
    ("mistakes.yaml:52:", "MeshConfig osm-system/osm-mesh-config", "enablePermissiveTrafficPolicyMode", "yes"),
    ("mistakes.yaml:54:", "apiVersion"),
    ("not-yaml.yaml:2:", "not YAML"),
)


def folder(tmp_path: Path) -> Path:
    place = tmp_path / "manifests"
    place.mkdir()
    (place / "mistakes.yaml").write_text(MISTAKES)
    (place / "not-yaml.yaml").write_text(BROKEN)
    return place


def test_every_mistake_is_told_with_place_object_field_and_what_is_allowed(tmp_path: Path) -> None:
    told = osm("policy", "check", "-f", str(folder(tmp_path)), home=tmp_path)
    assert told.status == 1
    lines = told.out.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    for words in EXPECTED:
        assert [line for line in errors if all(word in line for word in words)], f"{words} not in:\n{told.out}"
    unexpected = [line for line in errors if not any(all(word in line for word in words) for words in EXPECTED)]
    assert unexpected == []
    assert lines[-1] == counted(len(errors), len(lines) - 1 - len(errors))
    assert "Traceback" not in told.err


def test_scripts_get_the_same_as_data(tmp_path: Path) -> None:
    place = folder(tmp_path)
    told = osm("policy", "check", "-f", str(place), "-o", "json", home=tmp_path)
    assert told.status == 1
    found = json.loads(told.out)["problems"]
    assert len([each for each in found if each.get("severity", "error") == "error"]) == len(EXPECTED)
    assert {each["file"] for each in found} == {str(place / "mistakes.yaml"), str(place / "not-yaml.yaml")}


def test_the_demos_own_manifests_are_free_of_mistakes(tmp_path: Path) -> None:
    told = osm("policy", "check", "-f", str(Path(__file__).parents[2] / "demo" / "manifests"), home=tmp_path)
    assert (told.status, told.out) == (0, "nothing is wrong\n")


def test_an_empty_folder_is_not_wrong(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    assert osm("policy", "check", "-f", str(tmp_path / "manifests"), home=tmp_path).status == 0
