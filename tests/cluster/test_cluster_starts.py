"""Clusters that start at the same moment do not get into each other's way."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster.node import ROOT, Cluster, down, up

AT_ONCE = 8
CLAIM = """
source scripts/cluster.d/traces.sh
for _ in $(seq 8); do claim_subnet & done
wait
"""


def test_many_that_claim_a_network_at_once_get_one_each(able: None) -> None:
    # In a network namespace of its own: the claims are routes, and go with it.
    claims = ["unshare", "--net", "bash", "-euc", CLAIM]
    said = subprocess.run(claims, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(said.split()) == [f"10.213.{number}.2" for number in range(AT_ONCE)]


def test_two_that_start_the_same_cluster_at_once_get_that_one(able: None, tmp_path: Path) -> None:
    run = tmp_path / "cluster"
    try:
        with ThreadPoolExecutor() as pool:
            one, other = pool.map(up, (run, run))
        assert _uid(one) == _uid(other)
    finally:
        down(run)


def _uid(cluster: Cluster) -> str:
    return cluster.kubectl("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
