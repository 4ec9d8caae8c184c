"""How calls fare: what is sent again, and what is too much."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.conformance.policies import retry, setting, target
from tests.cluster.conformance.stage import Stage
from tests.cluster.conformance.workloads import CLIENT, LIMITS_PORT, OUTSIDE, SERVER, Object

ALONE = f"{CLIENT}/alone"
GUARDED = f"http://guarded.{SERVER}:8080"
CLUSTER = f"cluster.{SERVER}/guarded|8080"
TIMES = 5


@pytest.fixture(scope="module")
def allowed(mesh: Stage) -> Iterator[None]:
    with mesh.policies(SERVER, target("guarded")):
        mesh.becomes(ALONE, f"{GUARDED}/", "200")
        yield


def test_a_503_is_sent_again_as_often_as_a_retry_says_and_not_without_one(mesh: Stage, allowed: None) -> None:
    before = counted(mesh)
    assert words(mesh, "/503") == ["503"]
    assert counted(mesh) - before == {}
    terms = {"retryOn": "5xx", "perTryTimeout": "5s", "numRetries": TIMES, "retryBackoffBaseInterval": "1ms"}
    with mesh.policies(CLIENT, retry(ALONE, f"{SERVER}/guarded", **terms)):
        mesh.in_force("retry", f"{CLIENT}/to-guarded")
        assert words(mesh, "/503") == ["503"]
    assert counted(mesh) - before == {
        "upstream_rq_retry": TIMES,
        "upstream_rq_retry_limit_exceeded": 1,
        "upstream_rq_retry_backoff_exponential": TIMES,
    }


def test_requests_beyond_a_local_limit_are_answered_429(mesh: Stage, allowed: None) -> None:
    limit = {"local": {"http": {"requests": 3, "unit": "hour"}}}
    with mesh.policies(SERVER, setting("guarded", rateLimit=limit)):
        mesh.in_force("upstreamtrafficsetting", f"{SERVER}/guarded")
        assert words(mesh, "/", TIMES) == ["200"] * 3 + ["429"] * 2
    mesh.becomes(ALONE, f"{GUARDED}/", "200", TIMES)


def test_a_path_has_a_local_limit_of_its_own(mesh: Stage, allowed: None) -> None:
    routes = [{"path": "/open", "rateLimit": {"local": {"requests": 1, "unit": "hour", "responseStatusCode": 503}}}]
    with mesh.policies(SERVER, setting("guarded", httpRoutes=routes)):
        mesh.in_force("upstreamtrafficsetting", f"{SERVER}/guarded")
        assert words(mesh, "/open", 3) == ["200", "503", "503"]
        assert words(mesh, "/", TIMES) == ["200"] * TIMES


def test_a_rate_limit_service_is_asked_about_requests_and_about_a_path(mesh: Stage, allowed: None) -> None:
    """By a key, the caller's address, a header and a header's match."""
    everything = [said("3"), {"remoteAddress": {}}]
    of_path = [
        said("1"),
        {"requestHeader": {"name": "accept-encoding", "key": "encoding"}},
        {"headerValueMatch": {"value": "plain", "headers": [{"name": "accept-encoding", "exact": "identity"}]}},
    ]
    where = {"host": f"limits.{OUTSIDE}.svc.cluster.local", "port": LIMITS_PORT}
    service = {"rateLimitService": where, "domain": "conform", "timeout": "5s", "failOpen": False}
    limit = {"global": {"http": {**service, "descriptors": [{"entries": everything}]}}}
    routes = [{"path": "/open", "rateLimit": {"global": {"descriptors": [{"entries": of_path}]}}}]
    over = f"{SERVER}/guarded|8080|local.ratelimit.over_limit"
    with mesh.policies(SERVER, setting("guarded", rateLimit=limit, httpRoutes=routes)):
        mesh.in_force("upstreamtrafficsetting", f"{SERVER}/guarded")
        words(mesh, "/free")  # after one more answer, connections that stand are those of the new rules
        mesh.becomes(ALONE, f"{GUARDED}/", "429")
        assert words(mesh, "/open", 3) == ["200", "429", "429"]
        counted = {name: value for name, value in mesh.stats(f"{SERVER}/guarded").items() if name.endswith(over)}
        assert sum(counted.values()) >= 3 + 2
    mesh.becomes(ALONE, f"{GUARDED}/", "200", TIMES)


def said(times: str) -> Object:
    """To the rate limit service of these tests: how often."""
    return {"genericKey": {"key": "allowed", "value": times}}


def words(mesh: Stage, path: str, times: int = 1) -> list[str]:
    return [each["word"] for each in mesh.ask(ALONE, f"{GUARDED}{path}", times)]


def counted(mesh: Stage) -> Counter[str]:
    """What the client's sidecar has sent again to the service."""
    stats = mesh.stats(ALONE)
    names = ("upstream_rq_retry", "upstream_rq_retry_limit_exceeded", "upstream_rq_retry_backoff_exponential")
    return Counter({name: stats.get(f"{CLUSTER}.{name}", 0) for name in names})
