"""From folders to what bucket meshspec should hold: which object counts, what stays, in which order."""

import pytest

from osm.contracts.policy import HttpRouteGroup, Mesh
from osm.manifests import Scan
from osm.manifests.yaml import read
from services.meshspec.diff import step
from services.meshspec.report import file_lines, object_lines
from services.meshspec.state import Picture, picture

GROUP = """
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: shop}
spec: {matches: [{name: all}]}
"""
TARGET = """
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: buy, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: store, namespace: shop}
  sources: [{kind: ServiceAccount, name: buyer, namespace: shop}]
  rules: [{kind: HTTPRouteGroup, name: routes}]
"""
SPLIT = """
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: canary, namespace: shop}
spec: {service: web, backends: [{service: web-v1, weight: 1}]}
"""
MESH = """
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: false}}
"""
ALL = {"a.yaml": TARGET, "b.yaml": SPLIT, "c.yaml": GROUP, "d.yaml": MESH}


def scan(files: dict[str, str]) -> Scan:
    readings = {file: read(text, file) for file, text in files.items()}
    return Scan(
        documents=tuple(document for reading in readings.values() for document in reading.documents),
        problems=tuple(problem for reading in readings.values() for problem in reading.problems),
        unreadable=frozenset(file for file, reading in readings.items() if not reading.whole),
    )


def pictured(*folders: dict[str, str]) -> Picture:
    now = None
    for files in folders:
        now = picture(scan(files), now)
    assert now is not None
    return now


def test_documents_go_out_before_what_refers_to_them() -> None:
    assert list(pictured(ALL).documents) == [
        "mesh",
        "http-route-group.shop.routes",
        "traffic-target.shop.buy",
        "traffic-split.shop.canary",
    ]


def test_objects_of_other_services_are_left_to_them() -> None:
    other = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: nonsense\n"
    now = pictured({"a.yaml": other})
    assert (now.documents, now.problems, object_lines(now, {}, 1)) == ({}, (), {})


def test_a_mesh_config_whose_authorizer_cannot_be_asked_leaves_the_last_good_one_in_force() -> None:
    asks = MESH.replace("enableEgress: false", "enableEgress: true, inboundExternalAuthorization: {enable: true}")
    assert pictured({"d.yaml": MESH}, {"d.yaml": asks}).documents["mesh"] == Mesh(egress=False)
    assert "mesh" in pictured({"d.yaml": asks}).spoiled


def test_the_first_step_puts_everything() -> None:
    now = pictured(ALL)
    todo = step({}, now, ())
    assert (dict(todo.puts), todo.deletes, todo.inherited) == (dict(now.documents), (), frozenset())


def test_an_edit_puts_what_changed_and_nothing_else() -> None:
    before = pictured(ALL)
    now = picture(scan(ALL | {"d.yaml": MESH.replace("false", "true")}), before)
    todo = step(before.documents, now, ())
    assert (dict(todo.puts), todo.deletes) == ({"mesh": Mesh()}, ())


def test_a_reformatted_text_changes_nothing() -> None:
    before = pictured(ALL)
    now = picture(scan(ALL | {"c.yaml": "# a comment\n" + GROUP}), before)
    assert not step(before.documents, now, ()).puts


def test_removals_go_out_before_what_they_refer_to() -> None:
    before = pictured(ALL)
    todo = step(before.documents, picture(scan({}), before), ())
    assert todo.deletes == (
        "traffic-split.shop.canary",
        "traffic-target.shop.buy",
        "http-route-group.shop.routes",
        "mesh",
    )


@pytest.mark.parametrize("broken", [SPLIT + "  x: [", "{", SPLIT.replace("weight: 1", "weight: one"), SPLIT * 2])
def test_the_last_good_form_stays_while_the_text_is_broken(broken: str) -> None:
    before = pictured(ALL)
    now = picture(scan(ALL | {"b.yaml": broken}), before)
    assert now.documents == before.documents
    assert any(problem.severity == "error" for problem in now.found.problems)


def test_what_an_earlier_run_published_goes_when_everything_was_read() -> None:
    todo = step({}, pictured(ALL), {"mesh", "tcp-route.shop.old"})
    assert (todo.deletes, todo.inherited) == (("tcp-route.shop.old",), frozenset())


def test_what_an_earlier_run_published_stays_while_a_file_cannot_be_read() -> None:
    hidden = frozenset({"tcp-route.shop.old", "traffic-split.shop.canary"})
    first = pictured(ALL | {"b.yaml": "{"})
    todo = step({}, first, hidden)
    assert (todo.deletes, todo.inherited) == ((), hidden)
    second = picture(scan(ALL), first)
    todo = step(first.documents, second, todo.inherited)
    assert (todo.deletes, todo.inherited) == (("tcp-route.shop.old",), frozenset())


def test_what_was_seen_and_deleted_goes_even_while_another_file_cannot_be_read() -> None:
    broken = ALL | {"b.yaml": "{"}
    first = pictured(broken)
    todo = step({}, first, {"http-route-group.shop.routes", "traffic-split.shop.canary"})
    second = picture(scan({file: text for file, text in broken.items() if file != "c.yaml"}), first)
    todo = step(first.documents, second, todo.inherited)
    assert (todo.deletes, todo.inherited) == (
        ("http-route-group.shop.routes",),
        frozenset({"traffic-split.shop.canary"}),
    )


@pytest.mark.parametrize("broken", [SPLIT.replace("service: web,", ""), SPLIT + "metadata: {name: x}\n"])
def test_what_an_earlier_run_published_stays_while_its_own_document_is_broken(broken: str) -> None:
    if "metadata: {name: x}" in broken:
        broken = SPLIT.replace("weight: 1", "weight: 1, weight: 2")
    first = pictured({"b.yaml": broken})
    todo = step({}, first, {"traffic-split.shop.canary"})
    assert (todo.deletes, todo.inherited) == ((), frozenset({"traffic-split.shop.canary"}))
    gone = step(first.documents, picture(scan({}), first), todo.inherited)
    assert gone.deletes == ("traffic-split.shop.canary",)


def test_of_two_mesh_configs_the_one_with_osms_name_counts() -> None:
    other = MESH.replace("osm-mesh-config", "a-config").replace("false", "true")
    now = pictured({"a.yaml": other, "d.yaml": MESH})
    assert now.documents == {"mesh": Mesh(egress=False)}
    assert [str(problem) for problem in now.problems] == [
        "a.yaml:4: MeshConfig osm-system/a-config: metadata.name: the mesh has one MeshConfig, and "
        "MeshConfig osm-system/osm-mesh-config counts; remove this one"
    ]


def test_the_settings_change_hands_when_the_first_mesh_config_goes() -> None:
    other = MESH.replace("osm-mesh-config", "a-config").replace("false", "true")
    now = pictured({"a.yaml": other, "d.yaml": MESH}, {"a.yaml": other})
    assert (now.documents, now.problems) == ({"mesh": Mesh()}, ())


def test_a_line_says_since_which_revision_its_meaning_is_published() -> None:
    first = pictured(ALL)
    lines = object_lines(first, {}, 7)
    second = picture(scan(ALL | {"d.yaml": MESH.replace("false", "true")}), first)
    later = object_lines(second, lines, 9)
    revisions = {key.split(".")[2]: line.revision for key, line in later.items()}
    assert revisions == {"HTTPRouteGroup": 7, "MeshConfig": 9, "TrafficSplit": 7, "TrafficTarget": 7}
    assert all(line.generation for line in later.values())


def test_a_line_names_the_mistake_with_file_and_line() -> None:
    now = pictured({"c.yaml": GROUP.replace("all}", "all, pathRegex: '('}")})
    (line,) = object_lines(now, {}, 3).values()
    assert [(each.file, each.line, each.field) for each in line.problems] == [
        ("c.yaml", 5, "spec.matches[0].pathRegex")
    ]
    assert line.generation == ""


def test_kinds_not_enforced_and_kinds_misspelt_have_a_line_too() -> None:
    other = "apiVersion: {}\nkind: {}\nmetadata: {{name: it}}\n"
    now = pictured(
        {
            "a.yaml": other.format("config.openservicemesh.io/v1alpha2", "MeshRootCertificate"),
            "b.yaml": other.format("access.smi-spec.io/v1alpha3", "TrafficTargets"),
        }
    )
    assert {key: line.problems[0].severity for key, line in object_lines(now, {}, 1).items()} == {
        "object.meshspec.MeshRootCertificate.default.it": "warning",
        "object.meshspec.TrafficTargets.default.it": "error",
    }


def test_a_broken_file_has_a_line_of_its_own() -> None:
    now = pictured({"a.yaml": GROUP, "b.yaml": "a: [\n", "c.yaml": "kind: X\n"})
    assert {line.file: [problem.line for problem in line.problems] for line in file_lines(now).values()} == {
        "b.yaml": [1],
        "c.yaml": [1],
    }


def test_a_route_group_is_published_as_parsed() -> None:
    assert isinstance(pictured(ALL).documents["http-route-group.shop.routes"], HttpRouteGroup)
