"""What the two containers are started with."""

import os
import subprocess
from pathlib import Path

import pytest

from osm.contracts.policy import Injection
from osm.envoy.redirect import Redirect, rules
from services.injector.containers import Image, Sidecar, init_container, sidecar_container

IMAGE = Image(name="image:1", pull_policy="IfNotPresent")
FAKE = '#!/bin/sh\necho "$@" >"$OUT.arguments"\ncat >"$OUT"\nexit 3\n'


def sidecar(limits: tuple[tuple[str, str], ...] = (), **changes: object) -> dict[str, object]:
    fields = {"drain_s": 5, "native": True, "metrics": False, "kubernetes": (1, 35)} | changes
    one = Sidecar(image=IMAGE, cluster="store.shop", log_level="error", concurrency=2, **fields)  # type: ignore[arg-type]  # each has its type
    return sidecar_container(one, Injection(limits=limits))


def test_the_rules_reach_iptables_as_they_are_and_its_failure_is_the_containers(tmp_path: Path) -> None:
    program = tmp_path / "iptables-restore"
    program.write_text(FAKE)
    program.chmod(0o755)
    redirect = Redirect(pod_ip_mode=True, outbound_port_exclusions=tuple(range(1, 40)))
    container = init_container(IMAGE, redirect, privileged=False)
    assert container["env"][0]["name"] == "POD_IP", "kubelet fills in what was defined before"
    given = container["env"][1]["value"].replace("$(POD_IP)", "10.0.0.1")
    ran = subprocess.run(
        container["command"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "OSM_REDIRECT": given, "OUT": str(tmp_path / "out")},
        check=False,
    )
    assert ran.returncode == 3
    assert (tmp_path / "out.arguments").read_text() == "--noflush\n"
    assert (tmp_path / "out").read_text() == rules(redirect).replace("$POD_IP", "10.0.0.1")


@pytest.mark.parametrize(
    ("limit", "threads"), [("", "2"), ("500m", "1"), ("1", "1"), ("2500m", "3"), ("4", "4"), ("4k", "2"), ("1e1", "10")]
)
def test_as_many_threads_as_cores_are_granted(limit: str, threads: str) -> None:
    arguments = sidecar((("cpu", limit),) if limit else ())["args"]
    assert isinstance(arguments, list)
    assert arguments[arguments.index("--concurrency") + 1] == threads


@pytest.mark.parametrize(
    ("changes", "lifecycle"),
    [
        ({}, {"preStop": {"sleep": {"seconds": 5}}}),
        ({"kubernetes": (1, 29)}, {"preStop": {"exec": {"command": ["sleep", "5"]}}}),
        ({"drain_s": 0}, None),
    ],
)
def test_a_sidecar_goes_on_for_a_moment_when_its_pod_ends(changes: dict[str, object], lifecycle: object) -> None:
    assert sidecar(**changes).get("lifecycle") == lifecycle
