"""`osm demo --bus nats`, and the commands that ask whether something is in force, over the socket and over NATS."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from osm.testing.mesh import mesh_process, osm
from osm.testing.nats_server import find

pytestmark = [pytest.mark.nats, pytest.mark.timeout(300)]

CHECK_WITHIN_S = 240.0

BROKEN = """
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: broken, namespace: bookstore}
spec:
  destination: {kind: ServiceAccount, name: bookstore-v1, namespace: bookstore}
  rules: [{kind: Nonsense, name: x}]
  sources: [{kind: ServiceAccount, name: bookbuyer, namespace: bookbuyer}]
"""

TARGET = ("traffictarget", "bookstore/bookbuyer-access-bookstore-v1")


def test_the_check_passes_over_nats_and_leaves_nothing(home: Path, name: str) -> None:
    with mesh_process("demo", "--check", "--bus", "nats", "-o", "json", name=name, home=home) as mesh:
        status = mesh.wait(CHECK_WITHIN_S)
    told = json.loads(mesh.output()[mesh.output().index("{") :])
    assert [step["name"] for step in told["steps"] if not step["passed"]] == [], mesh.output()
    assert (status, told["passed"]) == (0, True)
    assert not mesh.leftovers()


@pytest.mark.parametrize("bus", ["memory", "nats"])
def test_commands_say_whether_something_is_in_force(home: Path, name: str, bus: str) -> None:
    with mesh_process("demo", "--bus", bus, name=name, home=home) as mesh:
        mesh.until(lambda: mesh.osm("wait", *TARGET).status == 0, "the mesh")
        in_force = mesh.osm("wait", *TARGET, "-o", "json")
        assert (in_force.status, json.loads(in_force.out)["type"]) == (0, "in-force"), in_force.err
        mesh.until(lambda: mesh.osm("bus", "check").status == 0, "every bucket synced")
        buckets = json.loads(mesh.osm("bus", "check", "-o", "json").out)["buckets"]
        assert {line["bucket"]: line["writer"] for line in buckets if line["bucket"] in ("catalog", "local")} == {
            "catalog": "catalog",
            "local": "local",
        }
        mesh.put("broken.yaml", BROKEN)
        refused = mesh.osm("wait", "TrafficTarget", "bookstore/broken")
        assert refused.status == 1
        assert "is not in force: " in refused.err
        assert "Nonsense" in refused.err
        late = mesh.osm("wait", "traffictarget", "bookstore/absent", "--timeout", "3s")
        assert (late.status, "no service knows a traffictarget bookstore/absent yet" in late.err) == (124, True)
        assert mesh.end() == 130
    assert not mesh.leftovers()


def test_over_nats_itself_a_command_needs_its_user_s_password(home: Path, name: str) -> None:
    with mesh_process("demo", "--bus", "nats", name=name, home=home) as mesh:
        mesh.until(lambda: mesh.osm("wait", *TARGET).status == 0, "the mesh")
        folder = mesh.run_folder / "nats"
        secrets = [path for path in folder.iterdir() if path.suffix in (".password", ".key", ".conf")]
        assert len(secrets) > 10
        assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
        url = f"tls://{mesh.block}0.1:15422"
        known = {
            "OSM_NATS_CA_FILE": str(folder / "root.pem"),
            "OSM_NATS_WRITERS_FILE": str(folder / "writers.json"),
        }
        password = {"OSM_NATS_PASSWORD_FILE": str(folder / "{user}.password")}
        inside = osm("wait", *TARGET, "--bus", url, home=home, environment=known | password)
        assert inside.status == 0, inside.err
        stranger = osm("wait", *TARGET, "--bus", url, home=home, environment=known)
        assert (stranger.status, "refuses cli" in stranger.err) == (1, True)
        mesh.end()
    assert not mesh.leftovers()


def test_a_killed_parent_takes_its_pieces_along(home: Path, name: str) -> None:
    with mesh_process("demo", "--bus", "nats", name=name, home=home) as mesh:
        mesh.until(lambda: mesh.osm("wait", *TARGET).status == 0, "the mesh")
        assert mesh.block
        mesh.until(lambda: len(mesh.leftovers().processes) >= 12, "pieces, apps and Envoys")
        mesh.end(signal.SIGKILL)
        mesh.until_gone()


def test_without_a_server_the_error_says_how_to_get_one(home: Path, name: str) -> None:
    without = {"OSM_NATS_SERVER": "", "XDG_CACHE_HOME": str(home / "empty"), "PATH": "/nonexistent"}
    asked = osm("demo", "--bus", "nats", "--name", name, home=home, environment=without)
    assert asked.status == 1
    assert "make nats-server" in asked.err
    assert not (home / f"osm-{os.getuid()}" / name).exists()
    assert find().exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bus", "redis://x"), "allowed are memory, nats, nats://host:port, tls://host:port"),
        (("--replicas", "xds=2"), "one process cannot have replicas; add --bus nats"),
        (("--bus", "nats", "--replicas", "local=2"), "allowed are meshspec, endpoints, catalog, certmgr, xds"),
    ],
)
def test_wrong_options_say_what_is_allowed(home: Path, options: tuple[str, ...], words: str) -> None:
    asked = osm("demo", *options, home=home)
    assert asked.status == 2
    plain = " ".join(asked.err.replace("│", " ").split())
    assert words in plain
