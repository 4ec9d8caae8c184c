"""Where the API server keeps what."""

import pytest

from osm.k8s.errors import Conflict, Forbidden, Gone, NotFound, refusal
from osm.k8s.resource import DEPLOYMENTS, NAMESPACES, PODS, Resource


@pytest.mark.parametrize(
    ("what", "namespace", "name", "subresource", "path"),
    [
        (PODS, "", "", "", "/api/v1/pods"),
        (PODS, "shop", "", "", "/api/v1/namespaces/shop/pods"),
        (PODS, "shop", "web", "log", "/api/v1/namespaces/shop/pods/web/log"),
        (NAMESPACES, "", "shop", "", "/api/v1/namespaces/shop"),
        (DEPLOYMENTS, "shop", "web", "", "/apis/apps/v1/namespaces/shop/deployments/web"),
    ],
)
def test_paths(what: Resource, namespace: str, name: str, subresource: str, path: str) -> None:
    assert what.path(namespace, name, subresource) == path


def test_a_kind_is_called_as_roles_call_it() -> None:
    assert (str(PODS), str(DEPLOYMENTS)) == ("pods", "deployments.apps")


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Forbidden), (403, Forbidden), (404, NotFound), (409, Conflict), (410, Gone)]
)
def test_a_refusal_is_known_by_its_status(status: int, kind: type[Exception]) -> None:
    error = refusal("get pods shop/web", status, b'{"reason": "Why", "message": "because"}')
    assert type(error) is kind
    assert str(error) == "get pods shop/web: because"
    assert error.reason == "Why"


def test_a_refusal_that_is_no_status_is_quoted() -> None:
    assert str(refusal("get pods", 502, b"<html>bad gateway</html>")) == "get pods: <html>bad gateway</html>"
    assert str(refusal("get pods", 502, b"")) == "get pods: HTTP status 502"
