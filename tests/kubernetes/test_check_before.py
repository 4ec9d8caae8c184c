"""`osm check --pre` before a real API server: a right that an installation would lack is named beforehand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from osm.k8s.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from osm.testing.kubernetes import STRANGER, ApiServer
from osm.testing.mesh import osm
from tests.kubernetes.asking import ask

NAME = "installs-all-but-admission-policies"
ALL_VERBS = ["get", "list", "watch", "create", "update", "patch"]


@pytest.fixture
def installer(server: ApiServer) -> Iterator[Path]:
    """The kubeconfig of a user who may do all that is needed on Kubernetes 1.29; nothing once the test is over."""
    groups = ["", "apps", "batch", "apiextensions.k8s.io", "rbac.authorization.k8s.io"]
    hooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
    rules = [
        {"apiGroups": groups, "resources": ["*"], "verbs": ALL_VERBS},
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": hooks, "verbs": ALL_VERBS},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}
    ask(server, "POST", CLUSTER_ROLES.path(), {"metadata": {"name": NAME}, "rules": rules})
    binding = {"metadata": {"name": NAME}, "roleRef": role, "subjects": [user]}
    ask(server, "POST", CLUSTER_ROLE_BINDINGS.path(), binding)
    yield server.kubeconfig_of(STRANGER)
    ask(server, "DELETE", CLUSTER_ROLE_BINDINGS.path(name=NAME))
    ask(server, "DELETE", CLUSTER_ROLES.path(name=NAME))


def test_the_right_to_make_admission_policies_is_asked_for(installer: Path, tmp_path: Path) -> None:
    told = osm("check", "--pre", home=tmp_path, environment={"KUBECONFIG": str(installer)})
    assert told.status == 1
    assert [line.split("you may not ")[1] for line in told.out.splitlines() if "you may not" in line] == [
        "create validatingadmissionpolicies.admissionregistration.k8s.io",
        "create validatingadmissionpolicybindings.admissionregistration.k8s.io",
    ]
