"""What a cluster refuses, as a user of the CLI is told it: one sentence, and the step that helps with that."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from osm.cli.kubernetes.cluster import next_step
from osm.k8s.errors import ApiError, Conflict, Forbidden, Invalid, Unreachable

OSM = Path(sys.executable).with_name("osm")
COMMANDS = (
    *("namespace list", "check --pre", "uninstall mesh -f", "status", "support bug-report -o r.zip"),
    "verify connectivity --from-pod a/b --to-ext-port 80",
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Forbidden("list pods", status=403, reason="Forbidden"), "ask an administrator"),
        (Forbidden("list pods", status=401, reason="Unauthorized"), "log in again"),
        (Unreachable("list pods"), "cluster-info"),
        (Conflict("patch namespaces a", status=409, reason="Conflict"), "the same command again"),
        (Invalid("create jobs", status=422, reason="Invalid"), "osm check"),
    ],
)
def test_the_next_step_is_that_of_the_refusal(error: ApiError, words: str) -> None:
    assert words in next_step(error)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cluster_that_is_away_is_one_sentence_with_a_next_step(tmp_path: Path, command: str) -> None:
    with socket.socket() as claimed:
        claimed.bind(("127.0.0.1", 0))  # and nobody listens
        server = f"http://127.0.0.1:{claimed.getsockname()[1]}"
        config = tmp_path / "config"
        config.write_text(
            f"{{clusters: [{{name: c, cluster: {{server: '{server}'}}}}], "
            "contexts: [{name: c, context: {cluster: c}}], current-context: c}"
        )
        environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [OSM, *command.split(), "--kubeconfig", config],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    said, remedy = done.stderr.splitlines()
    assert said.startswith("error: ")
    assert said.endswith(f"no answer from {server}: connection refused")
    assert "kubectl cluster-info" in remedy
    assert {path.name for path in tmp_path.iterdir()} <= {"config", "osm-0", f"osm-{Path(tmp_path).stat().st_uid}"}


def test_a_kubeconfig_that_is_no_yaml_is_one_sentence(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("{[")
    done = subprocess.run(
        [OSM, "mesh", "list", "--kubeconfig", config],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert [line.partition(":")[0].strip() for line in done.stderr.splitlines()] == ["error", "try"]
    assert str(config) in done.stderr
