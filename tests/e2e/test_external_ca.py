"""A mesh whose certificates come from somebody else's authority: step-ca with an intermediate, behind a plug-in."""

import asyncio
import json
from pathlib import Path

import pytest

from osm.testing.mesh import mesh_process
from tests.authorities import NotBuilt, find
from tests.not_run import not_run
from tests.step_ca import step_ca, step_plugin

pytestmark = pytest.mark.timeout(300)

CHECK_WITHIN_S = 240.0
WORKLOADS = 5


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return find("step-ca") / "step-ca"
    except NotBuilt as why:
        not_run(why)


def checked(home: Path, name: str) -> dict:
    """What the demo proves of itself, with real Envoys."""
    with mesh_process("demo", "--check", "-o", "json", name=name, home=home) as mesh:
        status = mesh.wait(CHECK_WITHIN_S)
        output = mesh.output()
    assert status == 0, output
    return json.loads(output[output.index("{") :])


async def test_the_demo_proves_every_claim_with_a_real_authority(
    home: Path, name: str, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with step_ca(program, home / "step") as authority:
        socket = home / "ca.sock"
        monkeypatch.setenv("OSM_CERTMGR_PROVIDER", "external")
        monkeypatch.setenv("OSM_CERTMGR_EXTERNAL_ADDRESS", f"unix:{socket}")
        async with step_plugin(authority, f"unix:{socket}"):
            told = await asyncio.to_thread(checked, home, name)
        said = (home / "step" / "log").read_text()
    assert [step["name"] for step in told["steps"] if not step["passed"]] == []
    assert told["passed"] is True
    assert said.count("path=/1.0/sign") >= 2 * WORKLOADS  # a leaf and a proxy's own for each, and their renewals
