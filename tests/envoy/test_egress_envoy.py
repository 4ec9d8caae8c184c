"""What Egress policies let out through real sidecars, and where those go that pose as somebody else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from osm.isolation import capability
from osm.isolation.namespace_commands import apart
from tests.envoy.egress_world import API, EVIL, FIRST_WORDS, LEGACY, WILD
from tests.not_run import not_run

pytestmark = [pytest.mark.envoy, pytest.mark.isolated, pytest.mark.timeout(300)]

WITHIN_S = 240.0


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where no network of one's own can be had, tests are reported as not run, with the reason; CI fails."""
    found = capability.obstacle()
    if found is not None:
        not_run(f"no network of our own here: {found.what}; {found.remedy}")
    folder: Path = tmp_path_factory.mktemp("egress")
    ran = subprocess.run(
        apart((sys.executable, "-m", "tests.envoy.egress_world", str(folder))),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env={**os.environ, "PATH": capability.path()},
    )
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return answers


def test_allowed_hosts_are_reached_over_http(heard: dict[str, str]) -> None:
    assert (heard["http"], heard["http wildcard"]) == (f"{API}/", f"{WILD}/")


def test_who_poses_with_an_allowed_host_reaches_whom_the_name_belongs_to(heard: dict[str, str]) -> None:
    assert (heard["http posing"], heard["tls posing"]) == (f"{API}/", f"{API}/")


def test_another_host_or_port_of_it_is_refused(heard: dict[str, str]) -> None:
    assert {heard["http another host"], heard["http another port in the host"]} == {"403"}
    assert heard["http closed port"] == "closed"


def test_routes_say_which_requests_however_a_path_is_written(heard: dict[str, str]) -> None:
    assert heard["http path"] == f"{API}/open/one"
    assert {heard["http another path"], heard["http dotted path"]} == {"404"}
    assert heard["http escaped path"] == "400"


def test_a_host_may_leave_out_a_port_that_is_known(heard: dict[str, str]) -> None:
    assert heard["http path, no port in the host"] == f"{API}/open"


def test_tls_is_passed_through_by_the_name_it_asks_for(heard: dict[str, str]) -> None:
    assert (heard["tls"], heard["tls wildcard"]) == (f"{API}/", f"{WILD}/")
    assert {heard["tls another name"], heard["tls no name"], heard["tls none"]} == {"closed"}


def test_tls_with_ranges_goes_where_it_was_dialled_within_them(heard: dict[str, str]) -> None:
    assert (heard["tls at address"], heard["tls posing at address"]) == (f"{LEGACY}/", f"{WILD}/")
    assert heard["tls elsewhere"] == "closed"


def test_a_range_is_reached_whatever_is_spoken_and_nothing_beside_it(heard: dict[str, str]) -> None:
    assert heard["range"] == API
    assert heard["range elsewhere"].startswith("HTTP/1.1 400"), "the port is a headless service's, who speaks HTTP"


def test_a_headless_service_at_a_port_of_a_range_is_still_told_by_its_name(heard: dict[str, str]) -> None:
    assert heard["range, http of the service"] == "503", "it has no pods"
    assert heard["range, http"] == f"{LEGACY}/"
    assert heard["range, http elsewhere"] == "403"


def test_a_server_outside_may_speak_first(heard: dict[str, str]) -> None:
    assert heard["server first"] == f"{FIRST_WORDS.decode()}{EVIL}"


def test_a_proxied_app_reaches_allowed_hosts_and_requests_alone(heard: dict[str, str]) -> None:
    assert (heard["proxy"], heard["proxy wildcard"]) == (f"{API}/", f"{WILD}/")
    assert (heard["proxy path"], heard["proxy another path"]) == (f"{API}/open", "404")
    assert heard["proxy another host"] == "403"


def test_a_proxied_app_reaches_allowed_names_over_tls(heard: dict[str, str]) -> None:
    assert (heard["proxy tls"], heard["proxy tls wildcard"]) == (f"{API}/", f"{WILD}/")
    assert heard["proxy tls another host"] == "refused by the proxy"
    assert heard["proxy tls where only an address is allowed"] == "refused by the proxy"
