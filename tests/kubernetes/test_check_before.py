"""`osm check --pre` before a real API server: a right that an installation would lack is named beforehand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from osm.k8s.client import connected
from osm.k8s.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, MUTATING_WEBHOOKS
from osm.testing.kubernetes import STRANGER, ApiServer
from osm.testing.mesh import osm
from tests.kubernetes.running import until

NAME = "installs-all-but-admission-policies"
ALL_VERBS = ["get", "list", "watch", "create", "update", "patch"]


@pytest.fixture
async def installer(server: ApiServer) -> AsyncIterator[Path]:
    """The kubeconfig of a user who may do all that is needed on Kubernetes 1.29; nothing once the test is over.

    Both as the server sees it, which takes rights in a moment after they are written.
    """
    groups = ["", "apps", "batch", "apiextensions.k8s.io", "rbac.authorization.k8s.io"]
    hooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
    rules = [
        {"apiGroups": groups, "resources": ["*"], "verbs": ALL_VERBS},
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": hooks, "verbs": ALL_VERBS},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}
    kubeconfig = server.kubeconfig_of(STRANGER)
    async with connected(str(server.kubeconfig)) as admin, connected(str(kubeconfig)) as stranger:
        await admin.create(CLUSTER_ROLES, {"metadata": {"name": NAME}, "rules": rules})
        binding = {"metadata": {"name": NAME}, "roleRef": role, "subjects": [user]}
        await admin.create(CLUSTER_ROLE_BINDINGS, binding)
        await until(lambda: stranger.may("create", MUTATING_WEBHOOKS))
        yield kubeconfig
        await admin.delete(CLUSTER_ROLE_BINDINGS, NAME)
        await admin.delete(CLUSTER_ROLES, NAME)

        async def taken_back() -> bool:
            return not await stranger.may("create", MUTATING_WEBHOOKS)

        await until(taken_back)


async def test_the_right_to_make_admission_policies_is_asked_for(installer: Path, tmp_path: Path) -> None:
    told = osm("check", "--pre", home=tmp_path, environment={"KUBECONFIG": str(installer)})
    assert told.status == 1
    assert [line.split("you may not ")[1] for line in told.out.splitlines() if "you may not" in line] == [
        "create validatingadmissionpolicies.admissionregistration.k8s.io",
        "create validatingadmissionpolicybindings.admissionregistration.k8s.io",
    ]
