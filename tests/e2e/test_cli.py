"""The commands as people and scripts use them: exit statuses, formats, errors with a next step."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from osm.contracts.channels import BUCKETS
from osm.testing.manifests import documents, http, mesh_config, route_group, service, target, workload
from osm.testing.mesh import Command, MeshProcess, mesh_process, osm, program

WEB, API = "web-0.front", "api-0.shop"
COMMANDS = (
    ("demo",),
    ("up",),
    ("status",),
    ("wait",),
    ("proxy", "list"),
    ("proxy", "get"),
    ("policy", "check"),
    ("bus", "watch"),
    ("bus", "check"),
    ("completion",),
)
QUERIES = ("clusters", "listeners", "routes", "endpoints", "certs", "config_dump", "stats")
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def mesh(home: Path) -> Iterator[MeshProcess]:
    folder = home / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(
        documents(
            workload(("shop", "api"), "8080"),
            service(("shop", "api"), "8080"),
            workload(("front", "web"), "8080"),
            mesh_config(),
            route_group(("shop", "paths"), a={"pathRegex": "/a"}),
            target(("shop", "web"), http("paths"), to="api", sources=[("front", "web")]),
        )
    )
    arguments = ("up", "-f", str(folder), "--ca-folder", str(home / "ca"))
    with mesh_process(*arguments, name="cli", home=home, folder=folder) as running:
        running.until(lambda: running.output().count("ready ") >= 2, "all workloads ready")
        running.until(lambda: running.osm("status").status == 0, "all in order")
        yield running
    assert not running.leftovers()


def is_clean(done: Command) -> bool:
    """No colours and no stack trace where there is no terminal."""
    return ESCAPE not in done.out + done.err and "Traceback" not in done.out + done.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = osm(*command, "--help", home=tmp_path)
    assert told.status == 0
    assert f"Example: osm {' '.join(command)}" in " ".join(told.out.split())
    assert is_clean(told)


def test_a_shell_that_has_read_its_script_completes_commands(tmp_path: Path) -> None:
    script = osm("completion", "bash", home=tmp_path)
    assert script.status == 0
    asks = "COMP_WORDS=(osm sta); COMP_CWORD=1; _osm_completion osm; printf '%s\\n' \"${COMPREPLY[@]}\""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = subprocess.run(
        ["bash", "-c", f"{script.out}\n{asks}"],
        env=os.environ | {"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["status"]


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_every_shell_has_its_script(tmp_path: Path, shell: str) -> None:
    script = osm("completion", shell, home=tmp_path)
    assert (script.status, "_OSM_COMPLETE" in script.out) == (0, True)


def test_a_shell_without_a_script_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    refused = osm("completion", "sh", home=tmp_path)
    assert refused.status == 2
    assert "powershell" in refused.err


def test_version_and_nothing_at_all(tmp_path: Path) -> None:
    assert re.fullmatch(r"osm \d+\.\d+\S*\n", osm("--version", home=tmp_path).out)
    bare = osm(home=tmp_path)
    assert bare.status == 2
    assert "Usage: osm" in bare.out + bare.err


@pytest.mark.parametrize(
    "command",
    [("status",), ("proxy", "list"), ("proxy", "get", "stats", WEB), ("bus", "watch", "--once")],
    ids=" ".join,
)
def test_without_a_mesh_a_command_says_how_to_start_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = osm(*command, home=tmp_path)
    assert (told.status, told.out) == (1, "")
    assert "no mesh runs here, and no kubeconfig names a cluster" in told.err
    assert re.search(r"try: \S*osm demo, or \S*osm up -f FOLDER", told.err)
    assert is_clean(told)


def test_a_bus_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = osm("status", "--bus", f"unix:{tmp_path}/none.sock", home=tmp_path)
    assert gone.status == 1
    assert f"unix:{tmp_path}/none.sock" in gone.err
    assert "try: " in gone.err
    form = osm("status", "--bus", "http://here", home=tmp_path)
    assert form.status == 1
    assert "nats://host:port" in form.err
    assert is_clean(gone)
    assert is_clean(form)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("up", "-f", "/no/such/folder"), "/no/such/folder"),
        (("up",), "--filename"),
        (("status", "-o", "xml"), "xml"),
        (("proxy", "get", "everything", WEB), "config_dump"),
        (("bus", "watch", "no-such-bucket"), "allowed are"),
        (("statsu",), "statsu"),
        (("demo", "--bus", "carrier-pigeon"), "nats://host:port"),
        (("demo", "-o", "json"), "--check"),
        (("demo", "--name", "../elsewhere"), "--name"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_is_asked_wrongly_ends_with_2_and_says_what_is_allowed(
    tmp_path: Path, command: tuple[str, ...], words: str
) -> None:
    told = osm(*command, home=tmp_path)
    assert told.status == 2
    assert words in told.err
    assert is_clean(told)


def test_status_is_found_without_being_told_where(mesh: MeshProcess) -> None:
    told = osm("status", home=mesh.home)
    assert told.status == 0
    for words in (
        "catalog",
        "certmgr",
        "endpoints",
        "local",
        "meshspec",
        "xds",
        WEB,
        API,
        "front/web",
        "synced",
        "ready",
    ):
        assert words in told.out
    assert is_clean(told)


@pytest.mark.parametrize(
    ("command", "key"), [(("status",), "services"), (("proxy", "list"), ""), (("bus", "check"), "")], ids=str
)
def test_json_and_yaml_say_the_same(mesh: MeshProcess, command: tuple[str, ...], key: str) -> None:
    as_json, as_yaml = (mesh.osm(*command, "-o", form) for form in ("json", "yaml"))
    assert (as_json.status, as_yaml.status) == (0, 0)
    one, other = json.loads(as_json.out), yaml.safe_load(as_yaml.out)
    assert type(one) is type(other)
    assert len(one) == len(other) > 0
    if key:
        assert len(one[key]) == len(other[key]) > 0
    assert is_clean(as_json)


def test_proxies_are_listed_with_identity_and_state(mesh: MeshProcess) -> None:
    proxies = json.loads(mesh.osm("proxy", "list", "-o", "json").out)
    assert [(each["proxy_id"], each.get("state", "synced")) for each in proxies] == [(API, "synced"), (WEB, "synced")]


@pytest.mark.parametrize("query", QUERIES)
def test_a_proxy_tells_what_it_believes_and_keeps_its_keys(mesh: MeshProcess, query: str) -> None:
    told = mesh.osm("proxy", "get", query, "web", "-o", "json")
    assert told.status == 0
    assert json.loads(told.out)
    assert "PRIVATE KEY" not in told.out
    assert is_clean(told)


def test_what_a_proxy_believes_names_the_service(mesh: MeshProcess) -> None:
    assert "shop/api|8080" in mesh.osm("proxy", "get", "clusters", WEB).out
    assert "shop/api|8080@shop/api" in mesh.osm("proxy", "get", "endpoints", WEB).out
    assert "shop/api|8080@" not in mesh.osm("proxy", "get", "endpoints", API).out
    stats = mesh.osm("proxy", "get", "stats", WEB, "--filter", "^server[.]live$").out
    assert stats.strip() == "server.live: 1"


def test_processes_are_judged_by_their_ids(mesh: MeshProcess) -> None:
    allowed = mesh.osm("policy", "check-pods", "web", "api")
    assert allowed.status == 0
    assert f"[+] Pod '{WEB}' is allowed to communicate to pod '{API}' via the SMI TrafficTarget policy" in allowed.out
    denied = mesh.osm("policy", "check-pods", "api", "web")
    assert denied.status == 1
    assert f"[+] Pod '{API}' is not allowed to communicate to pod '{WEB}', missing SMI TrafficTarget" in denied.out
    assert is_clean(allowed)


def test_who_has_query_and_proxy_the_wrong_way_round_is_shown_the_right_one(mesh: MeshProcess) -> None:
    told = mesh.osm("proxy", "get", WEB, "clusters")
    assert told.status == 2
    assert f"proxy get clusters {WEB}" in " ".join(told.err.split())


def test_a_page_can_be_written_to_a_file(mesh: MeshProcess) -> None:
    file = mesh.home / "clusters.json"
    assert mesh.osm("proxy", "get", "clusters", WEB, "-f", str(file)).out == ""
    assert "shop/api|8080" in file.read_text()


def test_an_unknown_proxy_is_told_with_those_there_are(mesh: MeshProcess) -> None:
    told = mesh.osm("proxy", "get", "stats", "wbe")
    assert told.status == 2
    assert f"'wbe' is no proxy; there are: {API}, {WEB}" in told.err
    assert "osm proxy list" in told.err


def test_the_bus_is_shown_as_json_a_line(mesh: MeshProcess) -> None:
    told = mesh.osm("bus", "watch", "catalog", "meshspec", "--once", "-o", "json")
    assert told.status == 0
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert {line["bucket"] for line in lines} == {"catalog", "meshspec"}
    assert "traffic-target.shop.web" in {line["key"] for line in lines}
    assert {"bucket", "key", "deleted", "writer", "revision", "body"} <= lines[0].keys()
    every = mesh.osm("bus", "watch", "--once")
    assert {bucket for bucket in BUCKETS if f"+ {bucket} " in every.out} >= {
        "catalog",
        "endpoints",
        "local",
        "meshspec",
    }
    assert "status" not in {line.split()[1] for line in every.out.splitlines() if line.startswith("+")}
    assert is_clean(every)


def test_waiting_ends_when_an_object_is_in_force_and_says_why_it_never_will_be(mesh: MeshProcess) -> None:
    done = mesh.osm("wait", "traffictarget", "shop/web")
    assert done.status == 0
    assert "TrafficTarget shop/web is in force at 2 proxies" in done.out
    late = mesh.osm("wait", "traffictarget", "shop/none", "--timeout", "200ms")
    assert late.status == 124
    assert "try: " in late.err


def test_a_reader_that_has_enough_is_no_error(mesh: MeshProcess) -> None:
    """`osm bus watch --once | head -1`"""
    done = subprocess.run(
        ["bash", "-c", f"{program()} bus watch --once --bus {mesh.bus} | head -1"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(mesh.home)},
        check=False,
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
