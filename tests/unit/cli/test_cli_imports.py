"""What every command pays for: a person who asks for help should not wait for gRPC."""

import subprocess
import sys

import pytest

PROBE = "import sys, osm.cli.main; print(sys.argv[1] in sys.modules)"


@pytest.mark.parametrize("library", ["grpc", "envoy", "aiohttp", "nats", "kubernetes_asyncio"])
def test_the_command_tree_does_not_import_what_only_a_running_mesh_needs(library: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, library], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
