"""Which probes are sent through the sidecar, and what they were."""

from typing import Any

import msgspec
import pytest

from osm.envoy.probes import GrpcCheck, HttpCheck, TcpCheck, path_of
from services.injector.pod import Pod
from services.injector.probes import rewrites, warnings


def pod(probe: dict[str, Any], kind: str = "livenessProbe", field: str = "containers", **container: Any) -> Pod:
    ports = [{"name": "http", "containerPort": 8080}]
    return msgspec.convert({"spec": {field: [{"name": "web", "ports": ports, kind: probe, **container}]}}, Pod)


@pytest.mark.parametrize(
    ("probe", "check"),
    [
        ({"httpGet": {"port": 80}}, HttpCheck(port=80)),
        ({"httpGet": {"port": "http", "path": "/a?b=c"}}, HttpCheck(port=8080, path="/a?b=c")),
        ({"httpGet": {"port": 80, "path": "no-slash"}}, HttpCheck(port=80, path="/no-slash")),
        ({"httpGet": {"port": 80, "path": "/a#never-sent"}}, HttpCheck(port=80, path="/a")),
        ({"httpGet": {"port": "81", "scheme": "HTTPS"}}, HttpCheck(port=81, tls=True)),
        ({"httpGet": {"port": 81, "scheme": "https"}}, HttpCheck(port=81, tls=True)),
        ({"tcpSocket": {"port": "http"}}, TcpCheck(port=8080)),
        ({"grpc": {"port": 90}}, GrpcCheck(port=90)),
        ({"grpc": {"port": 90, "service": None}}, GrpcCheck(port=90)),
        ({"grpc": {"port": 90, "service": "a.B"}}, GrpcCheck(port=90, service="a.B")),
    ],
)
def test_a_probe_is_kept_as_it_was(probe: dict[str, Any], check: object) -> None:
    (found,) = rewrites(pod(probe))
    assert found.probe.check == check


@pytest.mark.parametrize(
    "probe",
    [
        {"exec": {"command": ["true"]}},
        {"httpGet": {"port": 80, "host": "elsewhere"}},
        {"tcpSocket": {"port": 80, "host": "elsewhere"}},
        {"httpGet": {"port": "nobody"}},
        {"tcpSocket": {"port": "nobody"}},
        {"tcpSocket": {"port": "\u0668\u0660"}},
        {"tcpSocket": {"port": "8" * 5_000}},
        {"tcpSocket": {"port": 0}},
        {"tcpSocket": {"port": "65536"}},
        {"httpGet": {"port": 70_000}},
        {"httpGet": {"port": 80, "scheme": "FTP"}},
        {"grpc": {"port": -1}},
    ],
)
def test_what_does_not_ask_the_pod_stays_as_it_is(probe: dict[str, Any]) -> None:
    assert rewrites(pod(probe)) == ()


def test_each_kind_of_each_container_has_a_path_of_its_own() -> None:
    kinds = ("livenessProbe", "readinessProbe", "startupProbe")
    containers = [{"name": name, **{kind: {"httpGet": {"port": 1}} for kind in kinds}} for name in ("web", "api")]
    found = rewrites(msgspec.convert({"spec": {"containers": containers}}, Pod))
    assert len({path_of(each.probe) for each in found}) == 6
    assert found[4].at == "/spec/containers/1/readinessProbe"


def test_a_users_own_sidecar_is_probed_through_ours_too() -> None:
    (found,) = rewrites(pod({"tcpSocket": {"port": 1}}, field="initContainers"))
    assert found.at == "/spec/initContainers/0/livenessProbe"


def test_times_are_kept_and_never_nothing() -> None:
    (found,) = rewrites(pod({"tcpSocket": {"port": 1}, "timeoutSeconds": 7, "periodSeconds": 0}))
    assert (found.probe.timeout_s, found.probe.period_s) == (7, 1)


def test_a_hook_over_http_is_warned_about() -> None:
    hooks = {"postStart": {"httpGet": {"port": 1}}, "preStop": {"exec": {"command": ["true"]}}}
    assert list(warnings(pod({"exec": {}}, lifecycle=hooks))) == [
        "container web: lifecycle.postStart.httpGet does not pass the sidecar; use exec"
    ]
