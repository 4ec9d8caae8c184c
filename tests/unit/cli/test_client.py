"""Which mesh is asked where there are several, and that the user is told."""

from pathlib import Path

import pytest

from osm.cli import client, find_mesh
from osm.cli.client import mesh
from osm.cli.kubernetes.cluster_options import ClusterOptions

SOCKET = Path("/tmp/osm-0/shop/mesh.sock")
WORDS = f"asking the mesh on this machine, unix:{SOCKET}; --context or --kubeconfig asks a cluster's\n"


@pytest.fixture(autouse=True)
def _one_mesh_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, find_mesh):
        monkeypatch.setattr(module, "live", lambda: [SOCKET])
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def a_kubeconfig(folder: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool = True) -> None:
    config = folder / "config"
    if there:
        config.touch()
    monkeypatch.setenv("KUBECONFIG", str(config))


async def test_the_mesh_on_this_machine_is_taken_before_a_clusters_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_kubeconfig(tmp_path, monkeypatch)
    async with mesh(None, ClusterOptions()):
        assert capsys.readouterr() == ("", WORDS)


async def test_where_there_is_no_cluster_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_kubeconfig(tmp_path, monkeypatch, there=False)
    async with mesh(None, ClusterOptions()):
        assert capsys.readouterr() == ("", "")


async def test_who_names_the_mesh_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_kubeconfig(tmp_path, monkeypatch)
    async with mesh(f"unix:{SOCKET}", ClusterOptions()):
        assert capsys.readouterr() == ("", "")
