"""Who cannot have a cluster is told so at once, and what to do instead."""

import os
import subprocess
from pathlib import Path

from tests.cluster.node import ROOT


def test_without_root_it_says_so_and_names_another_way() -> None:
    command = [str(ROOT / "scripts/cluster"), "up"]
    if not os.geteuid():
        # In a user namespace where root is nobody: another user might not be let into the folder of the checkout.
        command = ["unshare", "--user", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "osm: a node needs root" in done.stderr
    assert "kind or minikube" in done.stderr


def test_without_programs_and_go_it_says_what_is_missing_and_names_another_way(able: None, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in {
        path.name: path for folder in ("/usr/sbin", "/usr/bin") for path in Path(folder).iterdir()
    }.values():
        if program.name != "go":
            (programs / program.name).symlink_to(program)
    environment = {"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "scripts/cluster", "up"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "missing: etcd kube-apiserver" in done.stderr
    assert "install Go" in done.stderr
    assert "kind or minikube" in done.stderr


def test_a_folder_that_is_no_clusters_is_not_removed(able: None, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = subprocess.run(
        [ROOT / "scripts/cluster", "down"],
        env={**os.environ, "OSM_CLUSTER_RUN": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is not the folder of a cluster" in done.stderr
    assert (tmp_path / "precious").exists()
