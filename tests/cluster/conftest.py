"""Tests on a real cluster of one node (scripts/cluster): one for the whole session, a namespace for every test."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.figures import Figures
from tests.cluster.node import ROOT, Cluster, down, runs, up
from tests.not_run import not_run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osm"
RUN = Path(os.environ.get("OSM_CLUSTER_RUN") or CACHE / "cluster")

FIGURES = pytest.StashKey[Figures]()

FIRST_WITHIN_S = 3_600
"""The first test may wait for what is not in the cache yet; each command has a limit of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("cluster")
            item.add_marker(pytest.mark.timeout(FIRST_WITHIN_S))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[FIGURES].table():
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """What tests measure; told again at the end of the run."""
    return pytestconfig.stash[FIGURES]


def _missing() -> str:
    """Why no cluster can be had here; empty if one can."""
    if os.geteuid():
        return "a node needs root"
    tools = CACHE / "tools"
    built = any(tools.glob("kubernetes-*/kubelet")) and any(tools.glob("coredns-*/coredns"))
    if not built and shutil.which("go") is None:
        return "Kubernetes is not in the cache, and there is no Go to build it with"
    return ""


@pytest.fixture(scope="session")
def able() -> None:
    """This machine can have a cluster; where it cannot, a test is reported as not run, and CI fails."""
    if why := _missing():
        not_run(why)


@pytest.fixture(scope="session")
def cluster(able: None) -> Iterator[Cluster]:
    """The session's cluster: the one that runs already, or one that is brought up and taken down."""
    ran = runs(RUN)
    try:
        yield up(RUN)
    finally:
        if not ran:
            down(RUN)


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> str:
    """The tag of our images, built from this tree and loaded into the cluster."""
    subprocess.run([ROOT / "scripts/images"], check=True)
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    return version[1]


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, gone after it."""
    name = "test-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:50].strip("-")
    try:
        cluster.create_namespace(name)
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
