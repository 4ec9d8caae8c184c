"""Following a kind on a real API server, and what happens to watches there."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from msgspec import Raw

from osm.k8s.client import Cluster, connected
from osm.k8s.errors import Busy, NotFound
from osm.k8s.follow import Pace, Seen, follow
from osm.k8s.objects import ConfigMap
from osm.k8s.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, CRDS, SECRETS, Resource
from osm.k8s.selection import Listing, Selection
from osm.testing.kubernetes import STRANGER, ApiServer, api_server
from tests.kubernetes.wire import wire

HURRY = Pace(absent_s=0.1, denied_s=0.1, relist_s=0.05, first_retry_s=0.05, longest_retry_s=0.2)

PATIENT = Pace(relist_s=0.05, first_retry_s=0.05, longest_retry_s=60.0)
"""For a server that is cut off on purpose. Ten failures in a row would lead to a list; by then minutes have passed."""

Key = tuple[str, str]


class Reader:
    """Keeps what it is told, as every reader would."""

    def __init__(self) -> None:
        self.told: list[Seen[ConfigMap]] = []
        self.objects: dict[Key, ConfigMap] = {}
        self.gone: set[Key] = set()
        self._changed = asyncio.Condition()

    async def read(self, changes: AsyncIterator[Seen[ConfigMap]]) -> None:
        async for seen in changes:
            async with self._changed:
                self.hear(seen)
                self._changed.notify_all()

    def hear(self, seen: Seen[ConfigMap]) -> None:
        self.told.append(seen)
        if seen.full:
            self.objects.clear()
        for key, found in seen.objects.items():
            if found is None:
                self.gone.add(key)
                self.objects.pop(key, None)
            else:
                self.objects[key] = found

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(holds)

    def names(self) -> set[str]:
        return {name for _, name in self.objects}


class Counted:
    """A cluster that counts what a follower asks of it, and may lose what a watch says."""

    def __init__(self, cluster: Cluster) -> None:
        self.lists = 0
        self.deaf = False
        self._cluster = cluster

    async def listing(self, of: Selection, *, page: int) -> Listing:
        self.lists += 1
        return await self._cluster.listing(of, page=page)

    async def watching(
        self, of: Selection, version: str, *, for_s: float, idle_s: float
    ) -> AsyncGenerator[tuple[bytes, ...], None]:
        async for lines in self._cluster.watching(of, version, for_s=for_s, idle_s=idle_s):
            yield () if self.deaf else lines


class Hasty(Counted):
    """A cluster whose watches end as soon as they have begun; it measures the pauses between them."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.pauses: list[float] = []
        self.often = asyncio.get_running_loop().create_future()
        self._last_s = 0.0

    async def watching(self, *_args: object, **_more: object) -> AsyncGenerator[tuple[bytes, ...], None]:
        now_s = asyncio.get_running_loop().time()
        if self._last_s:
            self.pauses.append(now_s - self._last_s)
        self._last_s = now_s
        if len(self.pauses) == 3 and not self.often.done():
            self.often.set_result(None)
        yield ()


@asynccontextmanager
async def reading(
    cluster: object, labels: str, *, what: Resource = CONFIG_MAPS, pace: Pace = HURRY
) -> AsyncIterator[Reader]:
    reader = Reader()
    task = asyncio.create_task(reader.read(follow(cluster, what, as_=ConfigMap, labels=labels, pace=pace)))
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def config_map(name: str, label: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "default", "labels": {label: ""}}, "data": data}


async def test_what_is_created_changed_and_deleted_is_told(api: Path) -> None:
    async with connected(str(api)) as cluster:
        await cluster.create(CONFIG_MAPS, config_map("first", "seen"))
        async with reading(cluster, "seen") as reader:
            await reader.until(lambda: bool(reader.told))
            assert reader.told[0].full
            assert reader.names() == {"first"}

            await cluster.create(CONFIG_MAPS, config_map("second", "seen", k="1"))
            await reader.until(lambda: reader.names() == {"first", "second"})
            await cluster.patch(CONFIG_MAPS, "second", {"data": {"k": "2"}}, "default")
            await reader.until(lambda: reader.objects["default", "second"].data == {"k": "2"})
            await cluster.delete(CONFIG_MAPS, "first", "default")
            await reader.until(lambda: reader.names() == {"second"})
            assert [seen.full for seen in reader.told].count(True) == 1


async def test_an_object_that_loses_its_label_is_gone(api: Path) -> None:
    async with connected(str(api)) as cluster, reading(cluster, "labelled") as reader:
        await cluster.create(CONFIG_MAPS, config_map("labelled", "labelled"))
        await reader.until(lambda: reader.names() == {"labelled"})
        await cluster.patch(CONFIG_MAPS, "labelled", {"metadata": {"labels": {"labelled": None}}}, "default")
        await reader.until(lambda: not reader.objects)


async def test_an_object_nested_deeper_than_a_decoder_goes_ends_no_follower(api: Path) -> None:
    """Who may write any object may write such `managedFields`, and the server keeps them."""
    deep = Raw(b'{"f:data":' + b'{"f:a":' * 3_000 + b"{}" + b"}" * 3_001)
    manager = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": deep}
    meta = {"name": "deep", "labels": {"for": "deep"}, "managedFields": [manager]}
    async with connected(str(api)) as cluster:
        await cluster.create(CONFIG_MAPS, {"metadata": meta, "data": {"k": "v"}}, "default")
        async with aclosing(follow(cluster, CONFIG_MAPS, as_=ConfigMap, labels="for=deep")) as told:
            first = await anext(told)
            await cluster.patch(CONFIG_MAPS, "deep", {"data": {"k": "w"}}, "default")
            second = await anext(told)
        await cluster.delete(CONFIG_MAPS, "deep", "default")
    values = [found.data["k"] for seen in (first, second) for found in seen.objects.values() if found is not None]
    assert values == ["v", "w"]


async def test_an_empty_kind_has_a_full_picture(api: Path) -> None:
    async with connected(str(api)) as cluster, reading(cluster, "nobody") as reader:
        await reader.until(lambda: bool(reader.told))
        assert reader.told == [Seen(full=True, objects={})]


async def test_a_first_picture_of_many_pages_is_whole(api: Path) -> None:
    async with connected(str(api)) as cluster:
        for number in range(7):
            await cluster.create(CONFIG_MAPS, config_map(f"page{number}", "paged"))
        async with reading(cluster, "paged", pace=Pace(page=3)) as reader:
            await reader.until(lambda: bool(reader.told))
            assert reader.told[0].full
            assert len(reader.told[0].objects) == 7


async def test_a_cut_watch_goes_on_where_it_was(server: ApiServer) -> None:
    async with wire(server.address) as line:
        path = server.kubeconfig_of("admin", line.address)
        async with connected(str(server.kubeconfig)) as direct, connected(str(path)) as cluster:
            counted = Counted(cluster)
            async with reading(counted, "cut", pace=PATIENT) as reader:
                await direct.create(CONFIG_MAPS, config_map("cut-before", "cut"))
                await reader.until(lambda: reader.names() == {"cut-before"})
                line.cut(refuse=True)
                await direct.delete(CONFIG_MAPS, "cut-before", "default")
                await direct.create(CONFIG_MAPS, config_map("cut-meanwhile", "cut"))
                line.mend()
                await reader.until(lambda: reader.names() == {"cut-meanwhile"})
                assert counted.lists == 1
                assert [seen.full for seen in reader.told].count(True) == 1


async def test_a_watch_that_falls_silent_is_made_anew(server: ApiServer) -> None:
    async with wire(server.address) as line:
        path = server.kubeconfig_of("admin", line.address)
        async with connected(str(server.kubeconfig)) as direct, connected(str(path)) as cluster:
            counted = Counted(cluster)
            async with reading(counted, "silent", pace=Pace(idle_s=2.0, first_retry_s=0.05)) as reader:
                await direct.create(CONFIG_MAPS, config_map("silent-before", "silent"))
                await reader.until(lambda: reader.names() == {"silent-before"})
                line.freeze()
                await direct.create(CONFIG_MAPS, config_map("silent-meanwhile", "silent"))
                line.forget_frozen()
                await reader.until(lambda: reader.names() == {"silent-before", "silent-meanwhile"})
                assert counted.lists == 1


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_pause(api: Path) -> None:
    async with connected(str(api)) as cluster:
        hasty = Hasty(cluster)
        async with reading(hasty, "hasty", pace=Pace(first_retry_s=0.2, longest_retry_s=60.0)) as reader:
            await reader.until(lambda: bool(reader.told))
            await hasty.often
            for pause_s, least_s in zip(hasty.pauses, (0.2, 0.4, 0.8), strict=True):
                assert pause_s >= least_s * 0.79  # a fifth less at most, and the clock's grain


async def test_where_watches_cannot_be_had_changes_are_found_by_lists(api: Path) -> None:
    async with connected(str(api)) as cluster:
        hasty = Hasty(cluster)
        async with reading(hasty, "polled", pace=Pace(first_retry_s=0.01, longest_retry_s=0.02)) as reader:
            await reader.until(lambda: bool(reader.told))
            await cluster.create(CONFIG_MAPS, config_map("polled", "polled"))
            await reader.until(lambda: reader.names() == {"polled"})


async def test_a_watch_that_lost_something_is_found_out(api: Path) -> None:
    async with connected(str(api)) as cluster:
        counted = Counted(cluster)
        async with reading(counted, "lost", pace=Pace(reconcile_s=1.0)) as reader:
            await cluster.create(CONFIG_MAPS, config_map("lost-before", "lost"))
            await reader.until(lambda: reader.names() == {"lost-before"})
            counted.deaf = True
            await cluster.create(CONFIG_MAPS, config_map("lost", "lost"))
            await cluster.delete(CONFIG_MAPS, "lost-before", "default")
            await reader.until(lambda: reader.names() == {"lost"})
            assert reader.gone == {("default", "lost-before")}


async def test_a_version_that_is_forgotten_leads_to_a_list_that_tells_differences(programs: Path) -> None:
    with api_server(programs, extra=("--watch-cache=false",)) as server:
        async with wire(server.address) as line:
            path = server.kubeconfig_of("admin", line.address)
            async with connected(str(server.kubeconfig)) as direct, connected(str(path)) as cluster:
                counted = Counted(cluster)
                async with reading(counted, "old", pace=PATIENT) as reader:
                    for name in ("stays", "goes"):
                        await direct.create(CONFIG_MAPS, config_map(name, "old"))
                    await reader.until(lambda: reader.names() == {"stays", "goes"})
                    line.cut(refuse=True)
                    await direct.delete(CONFIG_MAPS, "goes", "default")
                    await direct.create(CONFIG_MAPS, config_map("comes", "old"))
                    await asyncio.to_thread(server.compact)
                    line.mend()
                    await reader.until(lambda: reader.names() == {"stays", "comes"})
                    assert counted.lists == 2
                    assert reader.gone == {("default", "goes")}
                    assert [seen.full for seen in reader.told].count(True) == 1


async def test_a_restarted_server_takes_nothing_away(programs: Path) -> None:
    with api_server(programs) as server:
        async with connected(str(server.kubeconfig)) as cluster:
            await cluster.create(CRDS, crd("widgets", "Widget"))
            widgets = Resource(group="test.example", plural="widgets", kind="Widget")
            async with reading(cluster, "", what=widgets) as reader, reading(cluster, "restart") as maps:
                await _create_when_served(cluster, widgets, "kept")
                await cluster.create(CONFIG_MAPS, config_map("kept", "restart"))
                await reader.until(lambda: reader.names() == {"kept"})
                await maps.until(lambda: maps.names() == {"kept"})
                await asyncio.to_thread(server.stop_api, kill=True)
                await asyncio.to_thread(server.start)
                await cluster.create(CONFIG_MAPS, config_map("later", "restart"))
                await _create_when_served(cluster, widgets, "later")
                await maps.until(lambda: maps.names() == {"kept", "later"})
                await reader.until(lambda: reader.names() == {"kept", "later"})
                assert not reader.gone | maps.gone


async def test_a_kind_that_is_missing_is_empty_until_it_comes(api: Path) -> None:
    gadgets = Resource(group="test.example", plural="gadgets", kind="Gadget")
    async with connected(str(api)) as cluster, reading(cluster, "", what=gadgets) as reader:
        await reader.until(lambda: bool(reader.told))
        assert reader.told == [Seen(full=True, objects={})]
        await cluster.create(CRDS, crd("gadgets", "Gadget"))
        await _create_when_served(cluster, gadgets, "new")
        await reader.until(lambda: reader.names() == {"new"})


async def test_what_may_not_be_read_is_read_as_soon_as_it_may(server: ApiServer) -> None:
    async with (
        connected(str(server.kubeconfig)) as admin,
        connected(str(server.kubeconfig_of(STRANGER))) as stranger,
        reading(stranger, "", what=SECRETS) as reader,
    ):
        rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]}]
        await admin.create(CLUSTER_ROLES, {"metadata": {"name": "secrets"}, "rules": rules})
        assert not reader.told
        binding = {
            "metadata": {"name": "secrets"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secrets"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}],
        }
        await admin.create(CLUSTER_ROLE_BINDINGS, binding)
        await reader.until(lambda: bool(reader.told))
        await admin.delete(CLUSTER_ROLE_BINDINGS, "secrets")


def crd(plural: str, kind: str) -> dict[str, object]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "metadata": {"name": f"{plural}.test.example"},
        "spec": {
            "group": "test.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


async def _create_when_served(cluster: Cluster, what: Resource, name: str) -> None:
    """A kind is served a moment after its definition is written."""
    while True:
        try:
            await cluster.create(what, {"metadata": {"name": name, "namespace": "default"}})
        except (NotFound, Busy):
            await asyncio.sleep(0.05)
        else:
            return
