"""Which Telemetry counts for which workload, and what is published when one, or a label, changes."""

from msgspec import structs

from osm.bus import Document, Update
from osm.contracts.catalog import MeshService
from osm.contracts.channels import ACCESS_LOG, MESH, MESH_WORKLOAD
from osm.contracts.endpoints import Transparent, Workload
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import Mesh
from osm.contracts.telemetry import AccessLog, ExtensionService, LogTerms, OpenTelemetry, Telemetry, TextFormat
from services.catalog.check import Endpoints, check, key_of, picture
from services.catalog.state import Catalog, Changes

LINE = LogTerms(format=TextFormat(line="%PROTOCOL%\n"))


def asked(name: str, *, namespace: str = "shop", terms: LogTerms | None = LINE, **selector: str) -> Telemetry:
    return Telemetry(namespace=namespace, name=name, selector=tuple(sorted(selector.items())), access_log=terms)


def runs(name: str, namespace: str = "shop", **labels: str) -> Workload:
    return Workload(
        proxy_id=f"{name}.{namespace}",
        identity=Identity(namespace, "app"),
        interception=Transparent(),
        labels=tuple(sorted(labels.items())),
    )


def settle(policies: tuple[AnyPolicy, ...], endpoints: tuple[Endpoints, ...], home: str = "osm-system") -> Catalog:
    catalog = Catalog(home)
    catalog.apply(picture("meshspec", policies), picture("endpoints", endpoints))
    return catalog


def change(catalog: Catalog, bucket: str, value: AnyPolicy | Endpoints, *, gone: bool = False) -> Changes:
    document = Document(bucket=bucket, key=key_of(value), value=None if gone else value, revision=9, deleted=gone)
    return catalog.apply(Update(bucket=bucket, full=False, documents=(document,), revision=9))


def counts(catalog: Catalog, workload: Workload) -> str:
    """The name of the Telemetry that counts for it; the mesh's in brackets."""
    document, mesh = catalog.documents[MESH_WORKLOAD.key(workload.proxy_id)], catalog.documents[MESH.key()]
    assert isinstance(document, Workload)
    assert isinstance(mesh, Mesh)
    if document.telemetry:
        return document.telemetry.name
    return f"({mesh.telemetry.name})" if mesh.telemetry else ""


def said(catalog: Catalog, name: str, namespace: str = "shop") -> list[str]:
    found = catalog.problems.get(ObjectRef("Telemetry", namespace, name), ())
    return [f"{each.severity} {each.field}: {each.what}" for each in found]


def test_the_narrowest_counts() -> None:
    web, db, other = runs("web", app="web"), runs("db", app="db"), runs("web", "other", app="web")
    everyone = asked("a-mesh", namespace="osm-system")
    catalog = settle((everyone, asked("b-all"), asked("c-web", app="web")), (web, db, other))
    assert [counts(catalog, each) for each in (web, db, other)] == ["c-web", "b-all", "(a-mesh)"]
    assert catalog.problems == {}
    change(catalog, "meshspec", asked("c-web"), gone=True)
    assert [counts(catalog, each) for each in (web, db, other)] == ["b-all", "b-all", "(a-mesh)"]
    change(catalog, "meshspec", asked("b-all"), gone=True)
    assert [counts(catalog, each) for each in (web, db, other)] == ["(a-mesh)"] * 3
    change(catalog, "meshspec", everyone, gone=True)
    assert [counts(catalog, each) for each in (web, db, other)] == [""] * 3


def test_a_selector_that_does_not_match_counts_for_nobody_and_matches_in_no_other_namespace() -> None:
    """Both were otherwise in OSM 1.3."""
    web, other = runs("web", app="web"), runs("web", "other", app="db", more="x")
    catalog = settle((asked("it", app="db", more="x"),), (web, other))
    assert [counts(catalog, each) for each in (web, other)] == ["", ""]
    assert said(catalog, "it") == [
        "warning spec.selector: no workload with a sidecar in namespace shop has app=db, more=x; it changes nothing"
    ]
    change(catalog, "endpoints", runs("db", app="db", more="x"))
    assert said(catalog, "it") == []
    change(catalog, "endpoints", runs("db"), gone=True)
    assert len(said(catalog, "it")) == 1


def test_of_several_without_a_selector_the_first_by_name_counts_and_the_others_are_told() -> None:
    web = runs("web")
    catalog = settle((asked("b"), asked("a"), asked("c", app="x")), (web, runs("x", app="x")))
    assert counts(catalog, web) == "a"
    assert said(catalog, "b") == [
        "error spec.selector: Telemetry shop/a has no selector either, and of several the first by name counts; "
        "remove this one or that"
    ]
    assert (said(catalog, "a"), said(catalog, "c")) == ([], [])
    change(catalog, "meshspec", asked("a"), gone=True)
    assert (counts(catalog, web), said(catalog, "b")) == ("b", [])


def test_of_several_selectors_that_match_a_workload_the_first_by_name_counts() -> None:
    one, two, three = runs("one", app="x", v="1"), runs("two", app="x", v="1"), runs("three", app="x")
    catalog = settle((asked("b", app="x"), asked("a", v="1")), (one, two, three))
    assert [counts(catalog, each) for each in (one, two, three)] == ["a", "a", "b"]
    assert said(catalog, "a") == []
    assert said(catalog, "b") == [
        "warning spec.selector: it selects one.shop and 1 more as Telemetry shop/a does, "
        "and of several the first by name counts"
    ]
    change(catalog, "endpoints", runs("one", app="x"))
    change(catalog, "endpoints", runs("two", app="x"))
    assert said(catalog, "b") == []


def test_a_selector_in_the_control_planes_namespace_is_a_mistake() -> None:
    web = runs("web", app="web")
    catalog = settle((asked("it", namespace="mesh", app="web"),), (web,), home="mesh")
    assert counts(catalog, web) == ""
    assert said(catalog, "it", "mesh") == [
        "error spec.selector: a selector is for pods of its own namespace, and mesh, the control plane's, has none "
        "in the mesh; leave it out to mean the whole mesh"
    ]


def test_only_the_control_planes_own_namespace_speaks_for_the_mesh() -> None:
    web = runs("web")
    everyone = asked("it", namespace="osm-system")
    assert counts(settle((everyone,), (web,)), web) == "(it)"
    assert counts(settle((everyone,), (web,), home="mesh"), web) == ""


def test_labels_go_no_farther_and_one_that_changes_nothing_publishes_nothing() -> None:
    web = runs("web", app="web", hash="1")
    catalog = settle((asked("it", app="web"),), (web,))
    document = catalog.documents[MESH_WORKLOAD.key(web.proxy_id)]
    assert isinstance(document, Workload)
    assert document.labels == ()
    assert change(catalog, "endpoints", runs("web", app="web", hash="2")).puts == {}
    moved = change(catalog, "endpoints", runs("web", app="db", hash="2"))
    assert moved.puts.keys() == {MESH_WORKLOAD.key(web.proxy_id)}


def test_another_format_is_one_document_however_many_log_by_it() -> None:
    everyone = asked("it", namespace="osm-system", terms=LogTerms())
    catalog = settle((everyone, asked("it")), tuple(runs(f"web-{number}") for number in range(5)))
    ref = ObjectRef("Telemetry", "shop", "it")
    assert change(catalog, "meshspec", asked("it", terms=LogTerms())).puts == {
        ACCESS_LOG.key("shop", "it"): AccessLog(origin=ref, terms=LogTerms())
    }
    mesh = change(catalog, "meshspec", asked("it", namespace="osm-system"))
    assert mesh.puts.keys() == {ACCESS_LOG.key("osm-system", "it")}


def test_a_telemetry_without_an_access_log_takes_its_own_out_of_a_wider_one() -> None:
    web = runs("web")
    catalog = settle((asked("all", namespace="osm-system"), asked("none", terms=None)), (web,))
    assert counts(catalog, web) == "none"
    assert ACCESS_LOG.key("shop", "none") not in catalog.documents
    assert ACCESS_LOG.key("osm-system", "all") in catalog.documents


def test_a_log_is_written_before_who_is_told_of_it() -> None:
    catalog = Catalog()
    puts = catalog.apply(
        picture("meshspec", (asked("it"), asked("it", namespace="osm-system"))), picture("endpoints", (runs("web"),))
    ).puts
    assert [key.partition(".")[0] for key in puts] == ["access-log", "access-log", "mesh", "workload"]
    assert not any(isinstance(each, MeshService) for each in puts.values())


def test_a_collector_is_part_of_every_log_that_names_it_and_is_missed_where_it_is_not() -> None:
    terms = LogTerms(open_telemetry=OpenTelemetry(namespace="osm-system", name="otel"))
    otel = ExtensionService(namespace="osm-system", name="otel", host="otel.obs", port=4317)
    moved = structs.replace(otel, port=4318)
    catalog = settle((asked("it", terms=terms),), (runs("web"),))
    key, ref = ACCESS_LOG.key("shop", "it"), ObjectRef("Telemetry", "shop", "it")
    assert catalog.documents[key] == AccessLog(origin=ref, terms=terms)
    assert said(catalog, "it") == [
        'error spec.accessLog.openTelemetry.extensionService: no ExtensionService "otel" in namespace osm-system, '
        "there is none; entries go to standard output alone"
    ]
    assert change(catalog, "meshspec", otel).puts == {key: AccessLog(origin=ref, terms=terms, collector=otel)}
    assert catalog.problems == {}
    assert change(catalog, "meshspec", moved).puts == {key: AccessLog(origin=ref, terms=terms, collector=moved)}
    assert change(catalog, "meshspec", moved, gone=True).puts == {key: AccessLog(origin=ref, terms=terms)}
    assert len(said(catalog, "it")) == 1


def test_in_a_folder_whose_workloads_are_unknown_every_selector_is_taken_to_match() -> None:
    assert check((asked("it", app="web"), asked("that", app="db"))) == ()
    assert len(check((asked("it", app="web"),), endpoints=())) == 1
