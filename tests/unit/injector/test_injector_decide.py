"""Whether a pod gets a sidecar: a table of pods and namespaces, and the reason for each."""

from typing import Any

import msgspec
import pytest

from services.injector.decide import Facts, Inject, Leave, Ours, Refuse, Rename, decide
from services.injector.pod import Container, Pod

OURS = Ours(mesh="osm", namespace="osm-system")
IN_MESH = {"openservicemesh.io/monitored-by": "osm"}
SWITCH = "openservicemesh.io/sidecar-injection"


def pod(annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Pod:
    made = {
        "metadata": {"name": "web", "annotations": annotations, "labels": labels},
        "spec": {"containers": [{"name": "web"}], **spec},
    }
    return msgspec.convert(made, Pod)


def shop(labels: dict[str, str] = IN_MESH, said: str = "") -> Facts:
    return Facts(name="shop", labels=labels, annotations={SWITCH: said} if said else {})


def test_an_enabled_namespace_injects_its_pods() -> None:
    assert decide(pod(), shop(said="enabled"), OURS) == Inject(f"the namespace says {SWITCH}: enabled")


@pytest.mark.parametrize("said", ["enabled", "yes", "true", "Enabled", " TRUE "])
def test_every_word_for_yes_is_understood(said: str) -> None:
    assert isinstance(decide(pod({SWITCH: said}), shop(), OURS), Inject)


@pytest.mark.parametrize("said", ["disabled", "no", "false", "Disabled"])
def test_a_pod_may_stay_out_of_a_namespace_that_is_in(said: str) -> None:
    assert decide(pod({SWITCH: said}), shop(said="enabled"), OURS) == Leave(f"the pod says {SWITCH}: {said}")


def test_a_pod_may_come_in_where_its_namespace_says_no() -> None:
    assert isinstance(decide(pod({SWITCH: "yes"}), shop(said="disabled"), OURS), Inject)


def test_a_word_that_says_nothing_is_refused_with_what_is_allowed() -> None:
    allowed = "allowed are enabled, yes, true and disabled, no, false"
    assert decide(pod({SWITCH: "on"}), shop(said="enabled"), OURS) == Refuse(
        f'pod web: annotation {SWITCH}: found "on", {allowed}'
    )
    assert decide(pod(), shop(said="ja"), OURS) == Refuse(f'namespace shop: annotation {SWITCH}: found "ja", {allowed}')


def test_a_wrong_word_at_the_namespace_is_told_whatever_the_pod_says() -> None:
    assert isinstance(decide(pod({SWITCH: "yes"}), shop(said="ja"), OURS), Refuse)


def test_a_meshed_namespace_without_a_word_is_left_with_a_warning() -> None:
    verdict = decide(pod(), shop(), OURS)
    assert isinstance(verdict, Leave)
    assert "osm namespace add shop" in verdict.warnings[0]


@pytest.mark.parametrize(
    ("namespace", "why"),
    [
        (Facts(name="shop"), "namespace shop is in no mesh"),
        (shop({"openservicemesh.io/monitored-by": "other"}), "namespace shop is in mesh other"),
        (
            shop(IN_MESH | {"openservicemesh.io/ignore": "true"}),
            "namespace shop has the label openservicemesh.io/ignore",
        ),
        (Facts(name="kube-system", labels=IN_MESH), "nothing in kube-system gets a sidecar"),
        (Facts(name="osm-system", labels=IN_MESH), "osm-system is the control plane's own namespace"),
    ],
)
def test_namespaces_outside_of_the_mesh_are_left_even_with_nonsense_in_them(namespace: Facts, why: str) -> None:
    assert decide(pod({SWITCH: "nonsense"}), namespace, OURS) == Leave(why)


@pytest.mark.parametrize(
    "spec",
    [{"hostNetwork": True}, {"os": {"name": "windows"}}, {"nodeSelector": {"kubernetes.io/os": "windows"}}],
)
def test_what_a_sidecar_cannot_serve_is_left_with_a_warning(spec: dict[str, Any]) -> None:
    verdict = decide(pod(**spec), shop(said="enabled"), OURS)
    assert isinstance(verdict, Leave)
    assert verdict.warnings


@pytest.mark.parametrize("containers", [None, []])
def test_a_pod_without_containers_is_left_to_the_api_server_to_refuse(containers: object) -> None:
    """It writes null for none, and looks at the pod only after us."""
    assert isinstance(decide(pod(containers=containers), shop(said="enabled"), OURS), Leave)


def test_a_name_is_said_no_longer_than_one_may_be() -> None:
    for name in ("name", "generateName"):
        long = msgspec.convert({"metadata": {name: "a" * 5_000}}, Pod)
        assert long.called == "a" * 253


def test_a_windows_pod_that_wants_no_sidecar_is_not_warned_about() -> None:
    assert decide(pod({SWITCH: "no"}, os={"name": "windows"}), shop(), OURS) == Leave(f"the pod says {SWITCH}: no")


def copy(secret: str = "envoy-bootstrap-config-u", **labels: str) -> Pod:
    mounts = [{"name": "envoy-bootstrap-config-volume"}, {"name": "osm-init-run"}]
    return pod(
        labels=labels,
        initContainers=[
            {"name": "osm-init", "volumeMounts": mounts[1:]},
            {"name": "envoy", "securityContext": {"runAsUser": 1500}, "volumeMounts": mounts},
        ],
        volumes=[
            {"name": "osm-init-run"},
            {"name": "envoy-bootstrap-config-volume", "secret": {"secretName": secret}},
        ],
    )


@pytest.mark.parametrize("one", [copy(), copy(**{"osm-proxy-uuid": "u"})])
def test_a_copy_of_an_injected_pod_gets_an_id_of_its_own(one: Pod) -> None:
    """With the original's label or without: two proxies of one id would be one to xds."""
    verdict = decide(one, shop(said="enabled"), OURS)
    assert isinstance(verdict, Rename)
    assert verdict.volume == 1


def test_what_only_looks_like_a_copy_is_refused_for_the_names_it_takes() -> None:
    assert isinstance(decide(copy(secret="password"), shop(said="enabled"), OURS), Refuse)


def test_an_app_in_a_copy_may_not_mount_the_sidecars_key() -> None:
    one = copy()
    thief = msgspec.convert({"name": "web", "volumeMounts": [{"name": "envoy-bootstrap-config-volume"}]}, Container)
    spec = msgspec.structs.replace(one.spec, containers=(thief,))
    assert isinstance(decide(msgspec.structs.replace(one, spec=spec), shop(said="enabled"), OURS), Refuse)


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "web", "securityContext": {"runAsUser": 1500}}]},
        {"containers": [{"name": "web"}], "securityContext": {"runAsUser": 1500}},
        {"initContainers": [{"name": "web", "securityContext": {"runAsUser": 1500}}]},
    ],
)
def test_an_app_that_runs_as_the_sidecar_is_refused(spec: dict[str, Any]) -> None:
    assert decide(pod(**spec), shop(said="enabled"), OURS) == Refuse(
        "container web: runAsUser 1500 is the sidecar's, whose traffic is not redirected; allowed is any other"
    )


def test_a_container_that_overrides_the_pods_user_is_judged_by_its_own() -> None:
    one = pod(containers=[{"name": "web", "securityContext": {"runAsUser": 1}}], securityContext={"runAsUser": 1500})
    assert isinstance(decide(one, shop(said="enabled"), OURS), Inject)


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_namespace_that_forbids_what_the_init_container_needs_is_told_before_its_pods_fail(level: str) -> None:
    namespace = shop(IN_MESH | {"pod-security.kubernetes.io/enforce": level}, said="enabled")
    verdict = decide(pod(), namespace, OURS)
    assert isinstance(verdict, Refuse)
    assert f"enforces Pod Security level {level}, which forbids the capability NET_ADMIN" in verdict.why
    assert "kubectl label namespace shop pod-security.kubernetes.io/enforce=privileged --overwrite" in verdict.why
    assert isinstance(decide(pod({SWITCH: "no"}), namespace, OURS), Leave)


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({"containers": [{"name": "envoy"}]}, "container envoy"),
        ({"initContainers": [{"name": "osm-init"}]}, "container osm-init"),
        ({"volumes": [{"name": "osm-init-run"}]}, "volume osm-init-run"),
        (
            {"containers": [{"name": "web", "volumeMounts": [{"name": "envoy-bootstrap-config-volume"}]}]},
            "volume envoy-bootstrap-config-volume",
        ),
    ],
)
def test_the_names_of_our_parts_are_not_the_users(spec: dict[str, Any], taken: str) -> None:
    """A mount of the sidecar's volume above all: the app would read its key."""
    assert decide(pod(**spec), shop(said="enabled"), OURS) == Refuse(
        f"{taken}: the name is taken by the mesh's own; give it another"
    )
