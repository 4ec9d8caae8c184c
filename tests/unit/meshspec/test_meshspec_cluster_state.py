"""What a cluster's objects become, before anyone asks what they mean."""

from typing import Any

import pytest

from osm.contracts.names import ObjectRef
from osm.contracts.policy import Mesh
from osm.contracts.problem import Problem
from osm.k8s.follow import Seen
from osm.k8s.objects import Namespace, ObjectMeta
from osm.k8s.resource import HTTP_ROUTE_GROUPS, MESH_CONFIGS, TELEMETRIES
from osm.manifests.last_good import in_force
from osm.smi import POLICY_KINDS, parse
from osm.smi.groups import GROUPS
from services.meshspec.cluster_state import ClusterState, Standing
from services.meshspec.kinds import KINDS
from services.meshspec.state import Picture, picture
from services.meshspec.status_text import StatusText, due, status_text

OURS = {"openservicemesh.io/monitored-by": "osm"}
THEIRS = {"openservicemesh.io/monitored-by": "another"}
BOOKS = ObjectRef("HTTPRouteGroup", "shop", "books")


def namespaces(gathered: ClusterState, *, full: bool = True, **labels: dict[str, str] | None) -> None:
    objects = {
        ("", name): Namespace(metadata=ObjectMeta(name=name, labels=found)) if found is not None else None
        for name, found in labels.items()
    }
    gathered.namespaces(Seen(full=full, objects=objects))


def routes(namespace: str, name: str = "books", path: str = "/buy", **more: Any) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": "u", "generation": 3, "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"matches": [{"name": "m", "pathRegex": path}]}, **more}


def gathered(*bodies: dict[str, Any], **labels: dict[str, str] | None) -> ClusterState:
    found = ClusterState("osm", "osm-system", (HTTP_ROUTE_GROUPS,))
    namespaces(found, **({"shop": OURS} | labels))
    put(found, *bodies, full=True)
    return found


def put(found: ClusterState, *bodies: dict[str, Any], full: bool = False) -> None:
    objects = {(body["metadata"]["namespace"], body["metadata"]["name"]): body for body in bodies}
    found.objects(HTTP_ROUTE_GROUPS, Seen(full=full, objects=objects))


def test_every_kind_of_policy_is_followed_in_a_version_that_is_read() -> None:
    assert sorted(what.kind for what in KINDS) == sorted(POLICY_KINDS)
    for what in KINDS:
        assert what.version in GROUPS[what.group][what.kind].versions


def test_every_kind_is_missing_until_it_was_read_in_full() -> None:
    found = ClusterState("osm", "osm-system", (HTTP_ROUTE_GROUPS,))
    assert found.missing == (
        "the full picture of namespaces",
        "the full picture of httproutegroups.specs.smi-spec.io",
    )
    namespaces(found)
    put(found, full=True)
    assert found.missing == ()


def test_the_body_is_what_its_author_wrote() -> None:
    (document,) = gathered(routes("shop", status={"currentStatus": "error"})).scan().documents
    assert (document.ref, document.file) == (BOOKS, "")
    assert document.body == {
        "apiVersion": "specs.smi-spec.io/v1alpha4",
        "kind": "HTTPRouteGroup",
        "metadata": {"namespace": "shop", "name": "books"},
        "spec": {"matches": [{"name": "m", "pathRegex": "/buy"}]},
    }
    parsed = parse(document)
    assert parsed.object is not None


def test_a_status_makes_no_new_document() -> None:
    found = gathered(routes("shop"))
    (before,) = found.scan().documents
    put(found, routes("shop", status={"currentStatus": "committed", "reason": "in force", "observedGeneration": 3}))
    (after,) = found.scan().documents
    assert after is before
    assert found.standing(BOOKS) == Standing(
        what=HTTP_ROUTE_GROUPS, uid="u", generation=3, current="committed", reason="in force", observed=3
    )


def test_documents_are_in_order_whatever_came_first() -> None:
    found = gathered(routes("shop", "b"), routes("shop", "a"))
    assert [document.name for document in found.scan().documents] == ["a", "b"]


def test_an_object_that_is_gone_is_gone() -> None:
    found = gathered(routes("shop"))
    found.objects(HTTP_ROUTE_GROUPS, Seen(full=False, objects={("shop", "books"): None}))
    assert found.scan().documents == ()
    assert found.standing(BOOKS) is None


def test_a_namespace_that_leaves_the_mesh_takes_its_policies_with_it_broken_or_not() -> None:
    found = gathered(routes("shop"))
    before = picture(found.scan())
    put(found, routes("shop", path="("))
    broken = picture(found.scan(), before)
    assert broken.documents == before.documents
    namespaces(found, full=False, shop={})
    assert picture(found.scan(), broken).documents == {}


def test_a_policy_outside_of_every_mesh_is_warned_about() -> None:
    scan = gathered(routes("elsewhere"), elsewhere={}).scan()
    assert scan.documents == ()
    (problem,) = scan.problems
    assert (problem.subject, problem.severity) == (ObjectRef("HTTPRouteGroup", "elsewhere", "books"), "warning")
    assert "namespace elsewhere is not in the mesh" in problem.what


def test_a_policy_of_another_mesh_is_none_of_ours() -> None:
    scan = gathered(routes("elsewhere"), elsewhere=THEIRS).scan()
    assert (scan.documents, scan.problems) == ((), ())


def test_an_ignored_namespace_is_not_in_the_mesh() -> None:
    assert gathered(routes("shop"), shop=OURS | {"openservicemesh.io/ignore": "true"}).scan().documents == ()


@pytest.mark.parametrize(
    ("namespace", "name", "counts", "warned"),
    [
        ("osm-system", "osm-mesh-config", True, False),
        ("osm-system", "mine", False, True),
        ("shop", "mine", False, True),
        ("shop", "osm-mesh-config", False, False),
    ],
)
def test_one_mesh_config_counts(namespace: str, name: str, *, counts: bool, warned: bool) -> None:
    found = with_settings((namespace, name))
    scan = found.scan()
    warnings = [problem for problem in scan.problems if problem.severity == "warning"]
    assert (len(scan.documents), len(warnings)) == (int(counts), int(warned))


SETTINGS = ("osm-system", "osm-mesh-config")


@pytest.mark.parametrize(
    ("namespace", "name", "counts", "warned"),
    [
        ("osm-system", "any", True, False),
        ("shop", "any", True, False),
        ("street", "any", False, True),
        ("mesh-of-others", "osm-access-log", False, False),
    ],
)
def test_a_telemetry_beside_the_control_plane_is_for_all_of_the_mesh(
    namespace: str, name: str, *, counts: bool, warned: bool
) -> None:
    found = ClusterState("osm", "osm-system", (TELEMETRIES,))
    namespaces(found, shop=OURS, street={}, **{"osm-system": {}, "mesh-of-others": {}})
    body = {"metadata": {"namespace": namespace, "name": name}, "spec": {"accessLog": {}}}
    found.objects(TELEMETRIES, Seen(full=True, objects={(namespace, name): body}))
    scan = found.scan()
    assert (bool(scan.documents), bool(scan.problems)) == (counts, warned)
    assert (found.standing(ObjectRef("Telemetry", namespace, name)) is not None) == counts


def with_settings(*names: tuple[str, str]) -> ClusterState:
    found = ClusterState("osm", "osm-system", (MESH_CONFIGS,))
    namespaces(found)
    spec = {"traffic": {"enableEgress": False}}
    bodies = {(space, name): {"metadata": {"namespace": space, "name": name}, "spec": spec} for space, name in names}
    found.objects(MESH_CONFIGS, Seen(full=True, objects=bodies))
    return found


@pytest.mark.parametrize("full", [True, False])
def test_settings_that_are_removed_stay_in_force_and_are_missed(full: bool) -> None:
    found = with_settings(SETTINGS)
    before = picture(found.scan())
    found.objects(MESH_CONFIGS, Seen(full=full, objects={} if full else {SETTINGS: None}))
    after = picture(found.scan(), before)
    assert after.documents == before.documents == {"mesh": Mesh(egress=False)}
    (problem,) = after.found.problems
    assert (problem.subject, problem.severity) == (ObjectRef("MeshConfig", *SETTINGS), "error")
    assert "its last form stays in force" in problem.what


def test_settings_that_were_never_there_are_not_taken_for_the_open_defaults() -> None:
    now = picture(with_settings().scan())
    assert now.closed == {"mesh": Mesh(permissive=False, egress=False)}
    assert now.spoiled == {"mesh"}


def seen(path: str = "/buy", before: Picture | None = None) -> Picture:
    return picture(gathered(routes("shop", path=path)).scan(), before)


def test_what_is_good_is_said_to_be_in_force() -> None:
    assert status_text(seen()) == {BOOKS: StatusText(current="committed", reason="in force", event="Accepted")}


def test_a_mistake_is_said_with_what_is_in_force_instead() -> None:
    word = status_text(seen("(", seen()))[BOOKS]
    assert (word.current, word.event, word.warning) == ("error", "Invalid", True)
    assert word.reason.startswith("spec.matches[0].pathRegex: ")
    assert word.reason.endswith("; what it said before stays in force")
    assert "before" not in status_text(seen("("))[BOOKS].reason


def test_what_others_found_is_said_once() -> None:
    same = Problem(subject=BOOKS, field="spec", what="nobody asks for it", severity="warning")
    word = status_text(seen(), [same, same])[BOOKS]
    assert word == StatusText(current="committed", reason="spec: nobody asks for it", event="Doubtful")


def test_problems_of_objects_that_do_not_count_are_not_said_there() -> None:
    scan = gathered(routes("elsewhere"), elsewhere={}).scan()
    assert status_text(Picture(found=in_force(scan, parse), documents={})) == {}


WORD = StatusText(current="committed", reason="in force", event="Accepted")


@pytest.mark.parametrize(
    ("standing", "written", "news"),
    [
        (Standing(what=HTTP_ROUTE_GROUPS, generation=2), True, True),
        (Standing(what=HTTP_ROUTE_GROUPS, generation=2, current="error", reason="in force", observed=2), True, True),
        (
            Standing(what=HTTP_ROUTE_GROUPS, generation=2, current="committed", reason="in force", observed=1),
            True,
            False,
        ),
        (
            Standing(what=HTTP_ROUTE_GROUPS, generation=2, current="committed", reason="in force", observed=2),
            False,
            False,
        ),
    ],
)
def test_a_word_is_written_unless_it_stands_there(standing: Standing, *, written: bool, news: bool) -> None:
    todo = due(WORD, standing)
    assert (todo is not None, todo is not None and todo.news) == (written, news)
    if todo is not None:
        assert todo.status == {"currentStatus": "committed", "reason": "in force", "observedGeneration": 2}
