"""Where meshes of end-to-end tests live: below a temporary folder of the test's own, under names of its own."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def no_cluster() -> Iterator[None]:
    """Whatever mesh or cluster this machine's user works with has no part here, nor has the pod that we may be in."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", os.devnull)
        for name in ("KUBERNETES_SERVICE_HOST", "OSM_BUS", "OSM_CONFIG"):
            environment.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """In place of /tmp, and as short: Unix sockets go below it. Commands find no other mesh of this machine here."""
    with tempfile.TemporaryDirectory(prefix="osm-e2e-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A mesh's name that no other test run uses."""
    return f"t{os.getpid()}-{abs(hash(request.node.name)) % 10000}"
