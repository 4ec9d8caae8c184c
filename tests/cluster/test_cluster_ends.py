"""A cluster leaves nothing behind, whether it is taken down or dies: on a second cluster, beside the session's."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.node import Cluster, down, runs, up

GONE_WITHIN_S = 120.0


@pytest.fixture
def own(able: None, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own."""
    run = tmp_path / "cluster"
    try:
        yield up(run)
    finally:
        down(run)


def processes(cluster: Cluster) -> set[str]:
    """All processes of the node, each by pid and start: the descendants of its outer one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.parent.name, stat.read_text().rpartition(") ")[2].split()
        except OSError:  # it ended while we looked
            continue
        parents[pid] = (rest[1], rest[19])
    found = {(cluster.run / "pid").read_text().split()[0]}
    while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {f"{pid} {parents[pid][1]}" for pid in found}


def living(those: set[str]) -> set[str]:
    found = set()
    for process in those:
        pid, began = process.split()
        try:
            rest = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if rest[19] == began and rest[0] != "Z":
            found.add(process)
    return found


def traces(cluster: Cluster, name: str) -> list[str]:
    """What this machine has of that node: files, cgroups, links, routes, mounts, rules."""
    network = "10.213." + name.removeprefix("osm-node") + "."
    said = cluster.command("sh", "-c", "ip link; ip route show table all; iptables-save; cat /proc/self/mounts")
    lines = [line for line in said.splitlines() if name in line or network in line or str(cluster.run) in line]
    cgroups = [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if Path(folder).name == name]
    return [*lines, *cgroups, *([str(cluster.run)] if cluster.run.exists() else [])]


def name_of(cluster: Cluster) -> str:
    return "osm-node" + (cluster.run / "address").read_text().split(".")[2]


def test_down_leaves_no_process_file_cgroup_link_route_mount_or_rule(own: Cluster) -> None:
    name, started = name_of(own), processes(own)
    assert len(started) > len(("unshare", "node", "etcd", "kube-apiserver", "containerd", "kubelet"))
    assert len(traces(own, name)) > len(("the folder", "the link", "the route"))
    down(own.run)
    assert living(started) == set()
    assert traces(own, name) == []


def test_a_node_whose_program_dies_ends_wholly_says_so_and_is_started_anew(own: Cluster) -> None:
    started = processes(own)
    own.inside("sh", "-c", "kill -KILL $(pidof kubelet)")
    last = time.monotonic() + GONE_WITHIN_S
    while living(started) and time.monotonic() < last:
        time.sleep(0.1)
    assert living(started) == set()
    assert "kubelet ended" in (own.run / "node.log").read_text()
    assert not runs(own.run)

    again = up(own.run)
    assert "Ready" in again.kubectl("get", "nodes")
    assert not processes(again) & started
