"""Tests against a real Kubernetes API server: one for the whole session, names of their own for every test."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from osm.k8s.client import connected
from osm.testing.kubernetes import ApiServer, NoApiServer, api_server, find
from osm.testing.mesh import Command, osm
from tests.kubernetes.injector_town import Town
from tests.not_run import not_run

Cli = Callable[..., Command]

ENDS_WITHIN_S = 300
"""A server needs up to two minutes on a busy machine, and then a test waits for several things in turn."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("kubernetes")
            item.add_marker(pytest.mark.timeout(ENDS_WITHIN_S))


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of etcd and kube-apiserver; without it a test is reported as not run, and CI fails."""
    try:
        return find()
    except NoApiServer as why:
        not_run(why)


@pytest.fixture(scope="session")
def server(programs: Path) -> Iterator[ApiServer]:
    """The session's server. A test that stops or compacts one starts its own with `api_server(programs)`."""
    with api_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def api(server: ApiServer) -> Path:
    """The path of an administrator's kubeconfig."""
    return server.kubeconfig


@pytest.fixture
def cli(api: Path, tmp_path: Path) -> Cli:
    """`osm …` with the server's kubeconfig and a home of its own; further variables by their names."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> Command:
        environment = {"KUBECONFIG": str(api), "HOME": str(tmp_path), **variables}
        return osm(*arguments, home=tmp_path, stdin=stdin, environment=environment)

    return run


@pytest.fixture
async def town(api: Path, tmp_path: Path) -> AsyncIterator[Town]:
    """A mesh of the test's own, without certmgr and injector yet."""
    async with connected(str(api)) as cluster:
        town = Town(cluster, api, tmp_path)
        await town.found()
        try:
            yield town
        finally:
            await town.take_away()
