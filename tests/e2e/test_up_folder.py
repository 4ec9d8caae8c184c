"""`osm up` on a folder that its user edits: what is written holds at once, and what is wrong holds nothing up."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from osm.contracts.channels import OBJECT_STATUS
from osm.testing.manifests import documents, mesh_config, service, workload
from osm.testing.mesh import MeshProcess, mesh_process
from tests.e2e.outside import PATIENCE_S, Outside, eventually, outside

WEB = "web-0.front"
URL = "http://api.shop:8080"
ALWAYS = 2
OWN_FILES = {"api.yaml", "web.yaml"}

GROUP = """\
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata:
  name: paths
  namespace: shop
spec:
  matches:
    - name: read
      pathRegex: /books
      methods: [GET]
"""
TARGET = """\
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata:
  name: web-reads
  namespace: shop
spec:
  destination:
    kind: ServiceAccount
    name: api
    namespace: shop
  sources:
    - kind: ServiceAccount
      name: web
      namespace: front
  rules:
    - kind: HTTPRouteGroup
      name: paths
      matches: [read]
"""


@pytest.fixture(scope="module")
def mesh(home: Path) -> Iterator[MeshProcess]:
    folder = home / "manifests"
    folder.mkdir()
    (folder / "api.yaml").write_text(
        documents(workload(("shop", "api"), "8080"), service(("shop", "api"), "8080"), mesh_config())
    )
    (folder / "web.yaml").write_text(workload(("front", "web"), "8080"))
    arguments = ("up", "-f", str(folder), "--ca-folder", str(home / "ca"))
    with mesh_process(*arguments, name="folder", home=home, folder=folder) as running:
        running.until(lambda: running.output().count("ready ") >= ALWAYS, "all workloads ready")
        yield running
        assert running.end() == 130
    assert not running.leftovers()
    assert "Traceback" not in running.output()


def files_of(it: Outside) -> set[str]:
    """What the objects that the mesh knows were read from."""
    return {Path(each.file).name for each in it.board.lines(OBJECT_STATUS) if each.file}


@pytest.fixture(autouse=True)
async def as_before(mesh: MeshProcess) -> "object":
    """Every test finds the folder as the first one did, and a mesh that has nothing against it."""
    yield
    for path in mesh.folder.iterdir():
        if path.name not in OWN_FILES:
            path.unlink()
    async with outside(mesh) as it:
        await it.board.until(lambda: files_of(it) <= OWN_FILES, "every other file forgotten", PATIENCE_S)
        await it.no_problem()
        await it.in_service(ALWAYS)
        await eventually(lambda: it.status(WEB, f"{URL}/books"), lambda status: status == 403, "all policies gone")


async def printed_all(mesh: MeshProcess, after: int, *words: str) -> None:
    """Wait until it has printed all of this since character `after`; other lines may come before."""

    def has_printed() -> bool:
        return all(word in mesh.output()[after:] for word in words)

    await asyncio.to_thread(mesh.until, has_printed, f"{words} in the output after character {after}")


async def books(it: Outside) -> int:
    return await it.status(WEB, f"{URL}/books")


async def test_policies_come_change_and_go_with_their_files(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        assert await books(it) == 403
        await it.change(lambda: mesh.put("group.yaml", GROUP))
        assert await books(it) == 403
        await it.change(lambda: mesh.put("target.yml", TARGET))
        assert await books(it) == 200
        await it.change(lambda: mesh.put("group.yaml", GROUP.replace("/books", "/maps")))
        assert (await books(it), await it.status(WEB, f"{URL}/maps")) == (404, 200)
        await it.change(lambda: mesh.remove("target.yml"))
        assert await it.status(WEB, f"{URL}/maps") == 403


async def test_documents_may_share_a_file_move_between_files_and_be_json(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("both.yaml", f"# two in one\n---\n{GROUP}---\n{TARGET}---\n"))
        assert await books(it) == 200
        first = it.board.revision("meshspec")
        mesh.put("both.yaml", GROUP)
        mesh.put("moved.yaml", TARGET)
        await eventually(lambda: books(it), lambda status: status == 200)
        whole = {
            "apiVersion": "v1",
            "kind": "List",
            "items": [json.loads(line) for line in [_as_json(GROUP.replace("/books", "/maps")), _as_json(TARGET)]],
        }
        mesh.put("all.json", json.dumps(whole))
        mesh.remove("both.yaml")
        mesh.remove("moved.yaml")
        await eventually(lambda: it.status(WEB, f"{URL}/maps"), lambda status: status == 200)
        assert it.board.revision("meshspec") > first
        await it.no_problem()


def _as_json(text: str) -> str:
    import yaml  # noqa: PLC0415  # for this alone

    return json.dumps(yaml.safe_load(text))


async def test_every_way_to_save_a_file_is_seen(mesh: MeshProcess) -> None:
    """In place, by rename, by removing and writing anew, by a link that is turned: editors and ConfigMaps do each."""
    path = mesh.folder / "target.yaml"
    text = f"{GROUP}---\n{TARGET}"

    def in_place(body: str) -> None:
        path.write_text(body)

    def by_rename(body: str) -> None:
        mesh.put("target.yaml", body)

    def anew(body: str) -> None:
        path.unlink(missing_ok=True)
        path.write_text(body)

    def by_link(body: str) -> None:
        (mesh.home / "linked.yaml").write_text(body)
        (mesh.home / "link").symlink_to(mesh.home / "linked.yaml")
        (mesh.home / "link").replace(path)

    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("target.yaml", text))
        for number, save in enumerate((in_place, by_rename, anew, by_link)):
            wanted = f"/saved-{number}"
            await it.change(lambda save=save, wanted=wanted: save(text.replace("/books", wanted)))  # type: ignore[misc]  # bound now
            asking = partial(it.status, WEB, URL + wanted)  # what is written late was taken away for a moment
            await eventually(asking, lambda status: status == 200, save.__name__)
            assert await books(it) == 404, save.__name__


BROKEN = {
    "syntax": (
        (TARGET, TARGET.replace("  rules:", "  rules: [")),
        ("policies.yaml:27:", "not YAML"),
    ),
    "unknown field": (
        (TARGET, TARGET.replace("  sources:", "  sauces:")),
        ("policies.yaml:22:", "TrafficTarget shop/web-reads", "spec.sauces", "sources"),
    ),
    "wrong type": (
        (GROUP, GROUP.replace("methods: [GET]", "methods: GET")),
        ("policies.yaml:10:", "HTTPRouteGroup shop/paths", "spec.matches[0].methods", "list"),
    ),
    "no regular expression": (
        (GROUP, GROUP.replace("/books", "/books(?=x)")),
        ("policies.yaml:9:", "HTTPRouteGroup shop/paths", "spec.matches[0].pathRegex", "lookahead"),
    ),
    "meaningless": (
        (TARGET, TARGET.replace("    namespace: shop\n  sources", "    namespace: front\n  sources")),
        ("policies.yaml:21:", "TrafficTarget shop/web-reads", "spec.destination.namespace", '"front"', '"shop"'),
    ),
    "a version that is none": (
        (TARGET, TARGET.replace("v1alpha3", "v1beta9")),
        ("policies.yaml:12:", "v1beta9", "v1alpha3"),
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
async def test_a_mistake_is_told_with_its_place_and_the_last_good_stays_in_force(
    mesh: MeshProcess, mistake: str
) -> None:
    (right, wrong), words = BROKEN[mistake]
    good = f"{GROUP}---\n{TARGET}"
    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("policies.yaml", good))
        assert await books(it) == 200
        printed = len(mesh.output())
        mesh.put("policies.yaml", good.replace(right, wrong))
        problem = await it.problem(*words)
        assert problem.severity == "error"
        await printed_all(mesh, printed, "error: ", *words)
        shown = await asyncio.to_thread(mesh.osm, "status")
        assert shown.status == 1
        assert str(problem) in shown.out
        assert await books(it) == 200
        mesh.put("policies.yaml", good.replace("/books", "/maps"))
        await it.no_problem()
        await eventually(lambda: it.status(WEB, f"{URL}/maps"), lambda status: status == 200)
        await asyncio.to_thread(mesh.until_printed, "mended: ", after=printed)


async def test_a_reference_that_leads_nowhere_is_told_with_what_exists(mesh: MeshProcess) -> None:
    """It grants nothing; the rest of the target stands."""
    rules = TARGET + "    - kind: HTTPRouteGroup\n      name: pahts\n"
    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("policies.yaml", f"{GROUP}---\n{rules}"))
        problem = await it.problem("TrafficTarget shop/web-reads", "spec.rules[1].name", "pahts", "paths")
        assert (problem.file or "").endswith("policies.yaml")
        assert problem.line == 31
        assert await books(it) == 200
        shown = await asyncio.to_thread(mesh.osm, "status")
        assert (shown.status, str(problem) in shown.out) == (1, True)
        await asyncio.to_thread(mesh.until_printed, "policies.yaml:31: TrafficTarget shop/web-reads: spec.rules[1]")


async def test_an_object_defined_twice_is_told_with_both_places(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("a.yaml", f"{GROUP}---\n{TARGET}"))
        mesh.put("b.yaml", TARGET)
        problem = await it.problem("TrafficTarget shop/web-reads", "defined twice", "a.yaml:12")
        assert (problem.file or "").endswith("b.yaml")
        assert await books(it) == 200


async def test_a_workload_comes_grows_shrinks_and_goes(mesh: MeshProcess) -> None:
    policies = f"{GROUP}---\n{TARGET}".replace("name: api\n", "name: more\n")
    url = "http://more.shop:9090/books"

    async def who(it: Outside, asked: int = 10) -> Counter[object]:
        return Counter([(await it.get(WEB, url)).said.get("by") for _ in range(asked)])

    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("policies.yaml", policies))
        more = workload(("shop", "more"), "9090"), service(("shop", "more"), "9090")
        mesh.put("more.yaml", documents(*more))
        await it.in_service(ALWAYS + 1)
        await eventually(lambda: it.status(WEB, url), lambda status: status == 200)
        before = it.board.processes()["more-0.shop"].app_pid
        mesh.put("more.yaml", documents(workload(("shop", "more"), "9090", replicas=3), more[1]))
        await it.in_service(ALWAYS + 3)
        await eventually(lambda: who(it), lambda by: by.keys() == {"more-0", "more-1", "more-2"})
        assert it.board.processes()["more-0.shop"].app_pid == before
        mesh.put("more.yaml", documents(*more))
        await it.in_service(ALWAYS + 1)
        assert await who(it) == {"more-0": 10}
        mesh.remove("more.yaml")
        await it.in_service(ALWAYS)
        assert await it.status(WEB, url) == 403
        left = [each for each in mesh.leftovers().processes if "more-" in each]
        assert left == []


async def test_shrinking_loses_no_request(mesh: MeshProcess) -> None:
    policies = f"{GROUP}---\n{TARGET}".replace("name: api\n", "name: more\n")
    url = "http://more.shop:9090/books"
    statuses: Counter[int] = Counter()
    done = asyncio.Event()

    async def shop(it: Outside) -> None:
        while not done.is_set():
            statuses[await it.status(WEB, url)] += 1

    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("policies.yaml", policies))
        grown = documents(workload(("shop", "more"), "9090", replicas=3), service(("shop", "more"), "9090"))
        mesh.put("more.yaml", grown)
        await it.in_service(ALWAYS + 3)
        await eventually(lambda: it.status(WEB, url), lambda status: status == 200)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(shop(it))
            mesh.put("more.yaml", grown.replace("replicas: 3", "replicas: 1"))
            await it.in_service(ALWAYS + 1)
            done.set()
    assert set(statuses) == {200}
    assert statuses[200] > 20


async def test_a_program_that_keeps_ending_is_told_with_its_reason_and_its_log(mesh: MeshProcess) -> None:
    crashing = ("python3", "-c", "import sys; print('cannot find the ledger', file=sys.stderr); sys.exit(3)")
    async with outside(mesh) as it:
        printed = len(mesh.output())
        mesh.put("crash.yaml", workload(("shop", "crash"), command=crashing))
        await it.board.until(
            lambda: it.board.processes().get("crash-0.shop") and it.board.processes()["crash-0.shop"].restarts >= 2,
            "a second restart",
            PATIENCE_S,
        )
        await it.board.until(lambda: it.board.processes()["crash-0.shop"].state == "backoff", "backoff", PATIENCE_S)
        line = it.board.processes()["crash-0.shop"]
        assert "exit code 3" in line.why
        log = Path(re.search(r"in (/\S+)", line.why)[1])  # type: ignore[index]  # it is there
        assert "cannot find the ledger" in log.read_text()
        await printed_all(mesh, printed, "backoff crash-0.shop", "exit code 3")
        shown = await eventually(  # between two backoffs it is started
            lambda: asyncio.to_thread(mesh.osm, "status"), lambda shown: "backoff" in shown.out, "osm status says so"
        )
        assert shown.status == 1
        mesh.put("crash.yaml", workload(("shop", "crash"), "8080"))
        await it.in_service(ALWAYS + 1)


MISTAKEN_WORKLOADS = {
    "no command": (
        workload(("shop", "wrong"), "8080").replace("command:", "image: x/y:1\n        args:"),
        ("Deployment shop/wrong", "spec.template.spec.containers[0].command", "add the program"),
    ),
    "no such program": (
        workload(("shop", "wrong"), "8080", command=("no-such-program",)),
        ("Deployment shop/wrong", "containers[0].command[0]", '"no-such-program"', "PATH"),
    ),
    "no account": (
        workload(("shop", "wrong"), "8080").replace("serviceAccountName: wrong", "serviceAccountName: wrogn"),
        ("Deployment shop/wrong", "serviceAccountName", '"wrogn"', "did you mean `wrong`"),
    ),
    "labels": (
        workload(("shop", "wrong"), "8080").replace("matchLabels:\n      app: wrong", "matchLabels:\n      app: other"),
        ("Deployment shop/wrong", "spec.selector.matchLabels", "app=other"),
    ),
    "the sidecar's port": (
        workload(("shop", "wrong"), "15001"),
        ("Deployment shop/wrong", "containers[0].ports[0].containerPort", "15001", "choose another"),
    ),
    "the wildcard address": (
        workload(
            ("shop", "wrong"), "18123", command=("env", "OSM_BIND_HOST=0.0.0.0", "python3", "-m", "osm.testing.app")
        ),
        ("Deployment shop/wrong", "containers[0].ports", "18123", "status.podIP"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKEN_WORKLOADS)
async def test_a_workload_that_cannot_run_is_told_with_what_to_change(mesh: MeshProcess, mistake: str) -> None:
    text, words = MISTAKEN_WORKLOADS[mistake]
    async with outside(mesh) as it:
        printed = len(mesh.output())
        mesh.put("wrong.yaml", text)
        problem = await it.problem("wrong.yaml:", *words)
        assert problem.severity == "error"
        await printed_all(mesh, printed, "error: ", words[-1])


async def test_fields_that_only_a_cluster_honours_are_told_in_one_line_an_object(mesh: MeshProcess) -> None:
    text = (
        workload(("shop", "pod"), "8080")
        .replace(
            "      - name: app\n",
            "      - name: app\n        resources: {limits: {cpu: 1}}\n        livenessProbe: {httpGet: {port: 8080}}\n"
            "        volumeMounts: [{name: data, mountPath: /data}]\n",
        )
        .replace("      containers:", "      volumes: [{name: data, emptyDir: {}}]\n      containers:")
    )
    async with outside(mesh) as it:
        mesh.put("pod.yaml", text)
        await it.in_service(ALWAYS + 1)
        problem = await it.problem("pod.yaml:", "Deployment shop/pod", "only a cluster can honour")
        assert problem.severity == "warning"
        for field in ("livenessProbe", "resources", "volumeMounts", "volumes"):
            assert field in problem.what
        assert len(it.problems()) == 1
        assert (await asyncio.to_thread(mesh.osm, "status")).status == 0


async def test_a_folder_that_vanishes_takes_nothing_down(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.change(lambda: mesh.put("policies.yaml", f"{GROUP}---\n{TARGET}"))
        elsewhere = mesh.folder.with_name("elsewhere")
        mesh.folder.rename(elsewhere)
        try:
            await it.problem("manifests", "there is no such folder")
            assert await books(it) == 200
            assert len(it.board.processes()) == ALWAYS
        finally:
            elsewhere.rename(mesh.folder)
        await it.no_problem()
        await it.change(lambda: mesh.put("policies.yaml", f"{GROUP}---\n{TARGET}".replace("/books", "/maps")))
        assert await it.status(WEB, f"{URL}/maps") == 200
