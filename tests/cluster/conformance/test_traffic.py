"""How calls fare: what is sent again, and what is too much."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.conformance.policies import retry, setting, target
from tests.cluster.conformance.stage import Stage
from tests.cluster.conformance.workloads import CLIENT, SERVER

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


def words(mesh: Stage, path: str, times: int = 1) -> list[str]:
    return [each["word"] for each in mesh.ask(ALONE, f"{GUARDED}{path}", times)]


def counted(mesh: Stage) -> Counter[str]:
    """What the client's sidecar has sent again to the service."""
    stats = mesh.stats(ALONE)
    names = ("upstream_rq_retry", "upstream_rq_retry_limit_exceeded", "upstream_rq_retry_backoff_exponential")
    return Counter({name: stats.get(f"{CLUSTER}.{name}", 0) for name in names})
