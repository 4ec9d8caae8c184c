"""What the two containers are started with."""

import os
import subprocess
from pathlib import Path

import pytest

from osm.contracts.policy import Injection
from osm.envoy.redirect import Redirect, rules
from services.injector.containers import Image, Sidecar, init_container, sidecar_container

IMAGE = Image(name="image:1", pull_policy="IfNotPresent")
NFT, LEGACY = "iptables-restore", "iptables-legacy-restore"


def load(folder: Path, redirect: Redirect, **statuses: int) -> tuple[int, dict[str, str]]:
    """The init container's status, and what each program was given; `nft` and `legacy` end with these statuses."""
    for program, status in ((NFT, statuses["nft"]), (LEGACY, statuses["legacy"])):
        path = folder / program
        path.write_text(f'#!/bin/sh\necho "$@" >"$0.given"\ncat >>"$0.given"\nexit {status}\n')
        path.chmod(0o755)
    container = init_container(IMAGE, redirect, privileged=False)
    assert container["env"][0]["name"] == "POD_IP", "kubelet fills in what was defined before"
    given = container["env"][1]["value"].replace("$(POD_IP)", "10.0.0.1")
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "OSM_REDIRECT": given}
    status = subprocess.run(container["command"], env=environment, check=False).returncode
    return status, {path.stem: path.read_text() for path in folder.glob("*.given")}


def sidecar(limits: tuple[tuple[str, str], ...] = (), **changes: object) -> dict[str, object]:
    fields = {"drain_s": 5, "native": True, "metrics": False, "kubernetes": (1, 35)} | changes
    one = Sidecar(image=IMAGE, cluster="store.shop", log_level="error", concurrency=2, **fields)  # type: ignore[arg-type]  # each has its type
    return sidecar_container(one, Injection(limits=limits))


REDIRECT = Redirect(pod_ip_mode=True, outbound_port_exclusions=tuple(range(1, 40)))
GIVEN = "--noflush\n" + rules(REDIRECT).replace("$POD_IP", "10.0.0.1")


def test_the_rules_reach_iptables_as_they_are(tmp_path: Path) -> None:
    assert load(tmp_path, REDIRECT, nft=0, legacy=1) == (0, {NFT: GIVEN})


def test_the_older_tables_are_tried_where_there_are_no_others(tmp_path: Path) -> None:
    assert load(tmp_path, REDIRECT, nft=4, legacy=0) == (0, {NFT: GIVEN, LEGACY: GIVEN})


def test_a_pod_whose_rules_nobody_takes_does_not_start(tmp_path: Path) -> None:
    assert load(tmp_path, REDIRECT, nft=4, legacy=4)[0] == 1


@pytest.mark.parametrize(
    ("limit", "threads"),
    [
        ("", "2"),
        ("500m", "1"),
        ("1", "1"),
        ("2500m", "3"),
        ("4", "4"),
        ("4k", "2"),
        ("1e1", "10"),
        ("inf", "2"),
        ("nan", "2"),
    ],
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
