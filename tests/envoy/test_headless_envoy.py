"""Pods of a headless service, called by names and addresses of their own through real sidecars."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from osm.isolation import capability
from osm.isolation.namespace_commands import apart
from tests.not_run import not_run

pytestmark = [pytest.mark.envoy, pytest.mark.isolated, pytest.mark.timeout(300)]

WITHIN_S = 240.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where no network of one's own can be had, tests are reported as not run, with the reason; CI fails."""
    found = capability.obstacle()
    if found is not None:
        not_run(f"no network of our own here: {found.what}; {found.remedy}")
    folder: Path = tmp_path_factory.mktemp("headless")
    command = apart((sys.executable, "-m", "tests.envoy.headless_world", str(folder)))
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env={**os.environ, "PATH": capability.path()},
    )
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return answers


def test_the_services_name_leads_to_a_ready_pod_whatever_was_looked_up(seen: dict[str, str]) -> None:
    assert seen["http service"] == "db-0"


def test_a_pods_own_name_leads_to_that_pod_ready_or_not(seen: dict[str, str]) -> None:
    assert (seen["http first"], seen["http second"]) == ("db-0", "db-1")


def test_a_pods_own_address_leads_to_that_pod_over_tcp(seen: dict[str, str]) -> None:
    assert (seen["tcp first"], seen["tcp second"]) == ("db-0", "db-1")


def test_a_pod_that_is_none_of_the_services_gets_nothing(seen: dict[str, str]) -> None:
    assert (seen["http alien"], seen["tcp alien"]) == ("503", "closed")


def test_another_name_on_the_same_port_leads_nowhere(seen: dict[str, str]) -> None:
    assert seen["http other"] == "403"


def test_outside_the_mesh_the_port_of_a_headless_service_may_speak_anything(seen: dict[str, str]) -> None:
    assert seen["outside not http"] == "heard \x00\x01binary"
    assert seen["outside tls"] == "heard \x16\x03\x01\x00\x05hello"


def test_a_headless_service_is_found_at_a_port_where_other_protocols_may_be_spoken(seen: dict[str, str]) -> None:
    assert seen["shared port, service"] == "HTTP/1.1 200 OK"


def test_http_of_any_method_to_outside_the_mesh_goes_on_from_that_port(seen: dict[str, str]) -> None:
    heard = {seen[asked] for asked in ("outside http", "outside propfind")}
    assert heard == {"HTTP/1.1 204 No Content"}, "in Envoy's words: it went through HTTP"
