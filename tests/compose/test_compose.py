"""`docker compose up` and it works: the demo's own proof, from beside the apps, against the file that users run."""

import re
import time
import tomllib
from typing import Any

import msgspec
import pytest
import yaml

from tests.compose.conftest import ROOT, Compose

FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: each for name, each in FILE["services"].items() if "openservicemesh/" in each["image"]}
READY_WITHIN_S = 600.0


def _status(compose: Compose) -> dict[str, Any]:
    asked = compose("run", "--rm", "-T", "osm", "status", "--output", "json")
    return _document(asked.stdout) if asked.returncode == 0 else {}


def _document(said: str) -> dict[str, Any]:
    """What a command prints, without what podman-compose says before."""
    return msgspec.json.decode(said[said.find("{") :])


def _in_sync(status: dict[str, Any]) -> int:
    return sum(proxy["state"] == "synced" for proxy in status.get("proxies", ()))


def _xds(status: dict[str, Any]) -> int:
    return sum(each["service"] == "xds" for each in status.get("services", ()))


def test_the_mesh_comes_up_with_two_xds(compose: Compose) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while (_in_sync(found := _status(compose)), _xds(found)) != (5, 2) and time.monotonic() < deadline_s:
        time.sleep(0.5)
    assert (_in_sync(found), _xds(found)) == (5, 2), compose.podman("ps", "-a")


def test_every_claim_of_the_demo_holds(compose: Compose) -> None:
    asked = compose("run", "--rm", "-T", "check", *FILE["services"]["check"]["command"], "--output", "json")
    assert "{" in asked.stdout, asked.stderr
    told = _document(asked.stdout)
    failed = [step for step in told["steps"] if not step["passed"]]
    assert told["passed"], failed
    assert len(told["steps"]) >= 12
    for path in (ROOT / "demo" / "manifests").iterdir():
        assert (compose.manifests / path.name).read_text() == path.read_text(), "edits are taken back"


def test_no_service_reads_the_credentials_of_another(compose: Compose) -> None:
    password = {}
    for service in ("catalog", "xds-1", "xds-2", "workloads"):
        held = compose("exec", "-T", service, "cat", "/etc/osm/nats/password")
        assert held.returncode == 0, held.stderr
        password[service] = re.findall(r"p[0-9a-f]{32}", held.stdout)[0]
    assert password["xds-1"] == password["xds-2"]
    assert len(set(password.values())) == 3
    for service, name in (("catalog", "/credentials"), ("catalog", "/ca/root.pem"), ("workloads", "/ca/root.pem")):
        assert compose("exec", "-T", service, "cat", name).returncode != 0


def test_every_image_is_of_the_product_s_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, each in OURS.items():
        assert each["image"].endswith("${OSM_VERSION:-" + version + "}"), name


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"setup", "osm", "check"}))
def test_services_have_no_rights_to_spare(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "user" not in service, "the image's own, which is not root"
    assert "ports" not in service, "nothing listens outside"
