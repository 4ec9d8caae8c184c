"""meshspec on a real API server: what is applied becomes documents, and its author is told what came of it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct

from osm.bus.memory import MemoryCore
from osm.contracts.channels import HTTP_ROUTE_GROUP, MESH_CONFIG, OBJECT_STATUS
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus
from osm.k8s.client import Cluster, connected
from osm.k8s.errors import Busy, Conflict, NotFound
from osm.k8s.resource import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CRDS,
    EVENTS,
    HTTP_ROUTE_GROUPS,
    MESH_CONFIGS,
    NAMESPACES,
    Resource,
)
from osm.runtime.health import Health
from osm.testing.chart import Helm
from osm.testing.kubernetes import STRANGER, ApiServer, api_server
from osm.testing.picture import values_when
from services.meshspec.app import run
from services.meshspec.settings import Settings
from services.meshspec.state import CLOSED
from tests.served import served

CRD_FILES = sorted((Path(__file__).parents[2] / "deploy" / "chart" / "crds").glob("*.yaml"))

ROLE = "ClusterRole"

_numbers = itertools.count(1)


class Mesh(Struct):
    """A mesh of a test's own: its control plane's namespace, one namespace in it, and its bus."""

    name: str
    control_plane: str
    namespace: str
    core: MemoryCore
    cluster: Cluster
    first: asyncio.Task[None] | None = None

    async def apply(self, what: Resource, name: str, spec: Mapping[str, Any], namespace: str = "") -> None:
        body = {"spec": spec}
        while True:
            try:
                await self.cluster.patch(what, name, body, namespace or self.namespace, how="apply")
            except (NotFound, Busy):  # its definition was written a moment ago, or the server has just started
                await asyncio.sleep(0.05)
            else:
                return

    async def documents(self, holds: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
        return await values_when(self.core.bus("catalog").watch("meshspec"), holds, patience_s=60.0)

    async def lines(self, holds: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
        return await values_when(self.core.bus("cli").watch("status"), holds, patience_s=60.0)

    async def status_of(self, what: Resource, name: str, current: str) -> str:
        """The reason, once the status is `current`."""
        while True:
            body = await self.cluster.get(what, name, self.namespace, as_=dict[str, Any])
            status = body.get("status", {})
            if (
                status.get("currentStatus") == current
                and status["observedGeneration"] == body["metadata"]["generation"]
            ):
                return str(status["reason"])
            await asyncio.sleep(0.1)

    async def event_of(self, name: str, reason: str) -> Mapping[str, Any]:
        while True:
            events = await self.cluster.list(EVENTS, self.namespace, as_=dict[str, Any])
            for event in events:
                if event["involvedObject"]["name"] == name and event["reason"] == reason:
                    return event
            await asyncio.sleep(0.1)


@contextmanager
def pointed(monkeypatch: pytest.MonkeyPatch, path: Path) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("KUBECONFIG", str(path))
        yield


@asynccontextmanager
async def meshed(cluster: Cluster) -> AsyncIterator[Mesh]:
    """meshspec serves a mesh with one namespace."""
    number = next(_numbers)
    mesh = Mesh(f"mesh-{number}", f"control-{number}", f"shop-{number}", MemoryCore(), cluster)
    await cluster.create(NAMESPACES, {"metadata": {"name": mesh.control_plane}})
    labels = {"openservicemesh.io/monitored-by": mesh.name}
    await cluster.create(NAMESPACES, {"metadata": {"name": mesh.namespace, "labels": labels}})
    async with replica(mesh, Health("meshspec", "one", "test", 0.0)) as first:
        mesh.first = first
        yield mesh


def replica(mesh: Mesh, health: Health) -> AbstractAsyncContextManager[asyncio.Task[None]]:
    settings = Settings(platform="kubernetes", mesh_name=mesh.name, namespace=mesh.control_plane)
    return served(run, mesh.core.bus("meshspec"), settings, health)


async def install_crds(cluster: Cluster) -> None:
    for file in CRD_FILES:
        try:
            await cluster.create(CRDS, yaml.safe_load(file.read_text()))
        except Conflict:
            continue


@pytest.fixture
async def mesh(api: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mesh]:
    with pointed(monkeypatch, api):
        async with connected() as cluster:
            await install_crds(cluster)
            async with meshed(cluster) as found:
                yield found


def routes(path: str) -> dict[str, Any]:
    return {"matches": [{"name": "m", "pathRegex": path, "methods": ["GET"]}]}


def key_of(mesh: Mesh, name: str) -> str:
    return HTTP_ROUTE_GROUP.key(mesh.namespace, name)


async def test_what_is_applied_changed_and_deleted_follows_on_the_bus(mesh: Mesh) -> None:
    key = key_of(mesh, "books")
    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"))
    await mesh.documents(lambda seen: key in seen and seen[key].matches[0].path_regex == "/buy")
    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/sell"))
    await mesh.documents(lambda seen: seen[key].matches[0].path_regex == "/sell")
    await mesh.cluster.delete(HTTP_ROUTE_GROUPS, "books", mesh.namespace)
    await mesh.documents(lambda seen: key not in seen)


async def test_a_mistake_is_told_at_the_object_and_what_was_good_stays(mesh: Mesh) -> None:
    key = key_of(mesh, "books")
    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"))
    good = (await mesh.documents(lambda seen: key in seen))[key]
    assert await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "committed") == "in force"
    assert (await mesh.event_of("books", "Accepted"))["type"] == "Normal"

    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy("))
    reason = await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "error")
    assert reason.startswith("spec.matches[0].pathRegex: ")
    assert reason.endswith("; what it said before stays in force")
    event = await mesh.event_of("books", "Invalid")
    assert (event["type"], event["message"]) == ("Warning", reason)
    assert (await mesh.documents(lambda seen: True))[key] == good
    line = OBJECT_STATUS.key("meshspec", "HTTPRouteGroup", mesh.namespace, "books")
    await mesh.lines(lambda seen: line in seen and seen[line].problems)

    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/sell"))
    assert await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "committed") == "in force"
    await mesh.documents(lambda seen: seen[key].matches[0].path_regex == "/sell")


async def test_what_the_catalog_finds_is_told_at_the_object_too(mesh: Mesh) -> None:
    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"))
    await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "committed")
    ref = ObjectRef("HTTPRouteGroup", mesh.namespace, "books")
    problem = Problem(subject=ref, field="spec.matches[0]", what="nobody may ask for this")
    status = mesh.core.bus("catalog").status()
    key = OBJECT_STATUS.key("catalog", ref.kind, ref.namespace, ref.name)
    await status.put(key, ObjectStatus(subject=ref, problems=(problem,)))
    assert await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "error") == "spec.matches[0]: nobody may ask for this"
    await status.delete(key)
    assert await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "committed") == "in force"


async def test_a_policy_counts_as_long_as_its_namespace_is_in_the_mesh(mesh: Mesh) -> None:
    outside = f"{mesh.namespace}-outside"
    key = HTTP_ROUTE_GROUP.key(outside, "books")
    line = OBJECT_STATUS.key("meshspec", "HTTPRouteGroup", outside, "books")
    await mesh.cluster.create(NAMESPACES, {"metadata": {"name": outside}})
    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"), outside)
    lines = await mesh.lines(lambda seen: line in seen)
    assert [str(problem) for problem in lines[line].problems] == [
        f"HTTPRouteGroup {outside}/books: metadata.namespace: no effect: namespace {outside} is not in the mesh; "
        f"`osm namespace add {outside}` adds it"
    ]
    assert key not in await mesh.documents(lambda seen: True)
    labelled = {"metadata": {"labels": {"openservicemesh.io/monitored-by": mesh.name}}}
    await mesh.cluster.patch(NAMESPACES, outside, labelled)
    await mesh.documents(lambda seen: key in seen)
    await mesh.cluster.patch(NAMESPACES, outside, {"metadata": {"labels": None}})
    await mesh.documents(lambda seen: key not in seen)


async def test_only_the_mesh_config_of_the_control_plane_counts(mesh: Mesh) -> None:
    await mesh.apply(MESH_CONFIGS, "osm-mesh-config", _permissive(value=True))  # in a namespace of the mesh
    await mesh.apply(MESH_CONFIGS, "other", _permissive(value=True), mesh.control_plane)
    line = OBJECT_STATUS.key("meshspec", "MeshConfig", mesh.control_plane, "other")
    await mesh.lines(lambda seen: line in seen and "the mesh has one MeshConfig" in seen[line].problems[0].what)
    key = MESH_CONFIG.key()
    assert (await mesh.documents(lambda seen: key in seen))[key] == CLOSED
    await mesh.apply(MESH_CONFIGS, "osm-mesh-config", _permissive(value=True), mesh.control_plane)
    await mesh.documents(lambda seen: seen[key].permissive)


async def test_a_mesh_config_that_is_removed_is_missed_and_stays_in_force(mesh: Mesh) -> None:
    key, line = MESH_CONFIG.key(), OBJECT_STATUS.key("meshspec", "MeshConfig", mesh.control_plane, "osm-mesh-config")
    await mesh.apply(MESH_CONFIGS, "osm-mesh-config", _permissive(value=True), mesh.control_plane)
    before = (await mesh.documents(lambda seen: seen[key].permissive))[key]
    await mesh.lines(lambda seen: line not in seen or not seen[line].problems)  # it was missed before it was made, too
    await mesh.cluster.delete(MESH_CONFIGS, "osm-mesh-config", mesh.control_plane)
    lines = await mesh.lines(lambda seen: line in seen and seen[line].problems)
    assert "there is no such object" in lines[line].problems[0].what
    assert (await mesh.documents(lambda seen: True))[key] == before
    await mesh.apply(MESH_CONFIGS, "osm-mesh-config", _permissive(value=False), mesh.control_plane)
    await mesh.documents(lambda seen: not seen[key].permissive)
    await mesh.lines(lambda seen: line not in seen or not seen[line].problems)


def _permissive(*, value: bool) -> dict[str, Any]:
    return {"traffic": {"enablePermissiveTrafficPolicyMode": value}}


async def test_the_charts_rights_are_enough(server: ApiServer, helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = [each for each in yaml.safe_load_all(helm.render("osm.meshName=rights")) if each]
    (role,) = (each for each in rendered if (each["kind"], each["metadata"]["name"]) == (ROLE, "osm-meshspec-rights"))
    async with connected(str(server.kubeconfig)) as admin:
        await install_crds(admin)
        await admin.create(CLUSTER_ROLES, role)
        binding = {
            "metadata": {"name": "osm-meshspec-rights"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": ROLE, "name": "osm-meshspec-rights"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}],
        }
        await admin.create(CLUSTER_ROLE_BINDINGS, binding)
        try:
            async with connected(str(server.kubeconfig_of(STRANGER))) as stranger:
                while not await stranger.may("list", MESH_CONFIGS):  # the server's own picture of roles lags a moment
                    await asyncio.sleep(0.05)
            with pointed(monkeypatch, server.kubeconfig_of(STRANGER)):
                async with meshed(admin) as mesh:
                    await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"))
                    await mesh.status_of(HTTP_ROUTE_GROUPS, "books", "committed")
                    await mesh.event_of("books", "Accepted")
        finally:
            await admin.delete(CLUSTER_ROLE_BINDINGS, "osm-meshspec-rights")


async def test_a_second_replica_takes_over_and_takes_nothing_away(api: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pointed(monkeypatch, api):
        async with connected() as cluster:
            await install_crds(cluster)
            async with meshed(cluster) as mesh:
                key, later = key_of(mesh, "books"), key_of(mesh, "later")
                await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"))
                await mesh.documents(lambda seen: key in seen)
                deleted = asyncio.create_task(_first_deletion(mesh))
                health = Health("meshspec", "two", "test", 0.0)
                standby = asyncio.Event()
                health.on_change(lambda status: standby.set() if status.state == "standby" else None)
                async with replica(mesh, health):
                    await standby.wait()
                    mesh.first.cancel()
                    await mesh.apply(HTTP_ROUTE_GROUPS, "later", routes("/sell"))
                    assert key in await mesh.documents(lambda seen: later in seen)
                    assert health.ready
                    assert not deleted.done()
                    deleted.cancel()


async def test_kinds_that_are_not_installed_hold_nothing_up_and_a_restarted_server_takes_nothing_away(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_server(programs) as server, pointed(monkeypatch, server.kubeconfig):
        async with connected() as cluster, meshed(cluster) as mesh:
            assert await mesh.documents(lambda seen: True) == {MESH_CONFIG.key(): CLOSED}
            await install_crds(cluster)
            key, later = key_of(mesh, "books"), key_of(mesh, "later")
            await mesh.apply(HTTP_ROUTE_GROUPS, "books", routes("/buy"))
            await mesh.documents(lambda seen: key in seen)
            deleted = asyncio.create_task(_first_deletion(mesh))
            await _restart(server)
            await mesh.apply(HTTP_ROUTE_GROUPS, "later", routes("/sell"))
            assert key in await mesh.documents(lambda seen: later in seen)
            assert not deleted.done()
            deleted.cancel()


async def _restart(server: ApiServer) -> None:
    await asyncio.to_thread(server.stop_api, kill=True)
    await asyncio.to_thread(server.start)


async def _first_deletion(mesh: Mesh) -> str:
    async for update in mesh.core.bus("catalog").watch("meshspec"):
        for document in update.documents:
            if document.deleted:
                return document.key
    raise AssertionError("a watch does not end")
