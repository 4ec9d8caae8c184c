"""The Secret of a sidecar: what it holds, what its metadata tells, and what a pod must have to get one."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from osm.contracts.names import Address
from osm.contracts.trust import Chain
from osm.envoy.probes import HttpCheck, Probe
from osm.k8s.objects import Object, ObjectMeta
from osm.k8s.watch_state import Seen
from services.injector import secret
from services.injector.pods_and_secrets import MOST_REMEMBERED, REMEMBERED_S, PodsAndSecrets
from services.injector.proxies import Proxy, RunningPod, proxy_of

UUID = "11111111-2222-4333-8444-555555555555"
NAME = f"envoy-bootstrap-config-{UUID}"
PROBE = Probe(container="web", kind="liveness", check=HttpCheck(port=8080))
PROXY = Proxy(
    namespace="shop", uuid=UUID, pod="web-1", pod_uid="uid", account="store", seen_s=5.0, checks=(PROBE,), metrics=True
)
CERTIFICATE = secret.Certificate(
    key_pem="KEY", chain=Chain(chain_pem="CHAIN", issuer="i", not_before_s=100, not_after_s=4000)
)
MESH = secret.Mesh(name="osm", trust_domain="cluster.local", xds=Address("osm-xds.osm-system.svc.cluster.local", 15128))


def running(
    uuid: str = UUID, secret_name: str = NAME, phase: str = "Running", probes: str | None = None, mesh: str = "osm"
) -> RunningPod:
    annotations = {"prometheus.io/port": "15010", "openservicemesh.io/mesh": mesh} | (
        {"openservicemesh.io/probes": probes} if probes else {}
    )
    body = {
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "uid": "uid",
            "labels": {"osm-proxy-uuid": uuid},
            "annotations": annotations,
        },
        "spec": {"serviceAccountName": "store", "volumes": [{"name": "v", "secret": {"secretName": secret_name}}]},
        "status": {"phase": phase},
    }
    return msgspec.convert(body, RunningPod)


def test_a_pod_says_everything_that_its_secret_is_made_from() -> None:
    probes = msgspec.json.encode([PROBE]).decode()
    assert proxy_of(running(probes=probes), "osm", 5.0) == PROXY


def test_probes_that_cannot_be_read_leave_a_sidecar_without_them() -> None:
    probe = '[{"container":"web","kind":"liveness","check":{"type":"tcp","port":1},%s}]'
    fields = ('"timeout_s":0', f'"period_s":{2**31}', '"x":' + "[" * 20_000 + "]" * 20_000)
    for text in ("{", '[{"container":"web"}]', "[1]", *(probe % field for field in fields)):
        found = proxy_of(running(probes=text), "osm", 5.0)
        assert found is not None
        assert found.checks == ()


def test_no_two_probes_are_answered_at_one_path() -> None:
    found = proxy_of(running(probes=msgspec.json.encode([PROBE, PROBE]).decode()), "osm", 5.0)
    assert found is not None
    assert found.checks == (PROBE,)


@pytest.mark.parametrize(
    "pod", [running(uuid="x"), running(uuid="../../x"), running(secret_name="another"), running(mesh="other")]
)
def test_the_label_alone_is_no_sidecar_of_ours(pod: RunningPod) -> None:
    assert proxy_of(pod, "osm", 5.0) is None


@pytest.mark.parametrize(("phase", "finished"), [("Running", False), ("Pending", False), ("Succeeded", True)])
def test_a_finished_pod_is_known_as_one(phase: str, finished: bool) -> None:
    found = proxy_of(running(phase=phase), "osm", 5.0)
    assert found is not None
    assert found.finished == finished


def test_a_secret_belongs_to_its_pod_and_holds_three_files() -> None:
    made = secret.made(PROXY, CERTIFICATE, "ROOTS", MESH)
    assert made["metadata"]["name"] == NAME
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/name": "openservicemesh.io",
        "app.kubernetes.io/instance": "osm",
        "osm-proxy-uuid": UUID,
    }
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "uid"}
    assert made["metadata"]["ownerReferences"] == [owner]
    assert set(made["stringData"]) == {"bootstrap.json", "certificate.json", "roots.json"}


def test_the_key_is_in_one_file_and_nowhere_else() -> None:
    made = secret.made(PROXY, CERTIFICATE, "ROOTS", MESH)
    assert "KEY" in made["stringData"].pop("certificate.json")
    assert "KEY" not in json.dumps(made)
    assert "KEY" not in repr(CERTIFICATE)


def test_the_bootstrap_watches_the_mount_and_opens_what_the_pod_asked_for() -> None:
    text = secret.made(PROXY, CERTIFICATE, "ROOTS", MESH)["stringData"]["bootstrap.json"]
    made = json.loads(text)
    assert made["node"] == {"id": f"{UUID}.shop", "cluster": "store.shop"}
    assert text.count('"watched_directory"') == 2
    ports = [one["address"]["socket_address"]["port_value"] for one in made["static_resources"]["listeners"]]
    assert ports == [15010, 15021, 15901]


def test_what_a_secret_says_of_itself_is_read_back() -> None:
    made = secret.made(PROXY, CERTIFICATE, "ROOTS", MESH)
    meta = msgspec.convert(made["metadata"] | {"creationTimestamp": "2026-01-01T00:00:00Z"}, ObjectMeta)
    created_s = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert secret.kept(meta) == secret.remembered(PROXY, CERTIFICATE, "ROOTS", created_s)


@pytest.mark.parametrize("said", ["9" * 5_000, "9" * 400, "-5", "1e9", "\u0661", ""])
def test_a_time_that_somebody_else_wrote_is_long_past_if_it_is_none(said: str) -> None:
    meta = ObjectMeta(name=NAME, labels={"osm-proxy-uuid": UUID}, annotations={secret.NOT_AFTER: said})
    found = secret.kept(meta)
    assert found is not None
    assert found.not_after_s == 0


def test_new_roots_change_one_file_and_neither_key_nor_times() -> None:
    changed = secret.trusting("OTHERS")
    assert set(changed["stringData"]) == {"roots.json"}
    assert set(changed["metadata"]["annotations"]) == {secret.ROOTS}
    assert secret.roots_id("OTHERS") != secret.roots_id("ROOTS")


def test_a_secret_of_somebody_else_with_our_label_is_none_of_ours() -> None:
    assert secret.kept(ObjectMeta(name="password", labels={"osm-proxy-uuid": UUID})) is None


def seen(full: bool, **objects: Any) -> Seen[Any]:
    return Seen(full=full, objects={("shop", name): found for name, found in objects.items()})


def test_a_pod_is_remembered_as_seen_when_it_was_first_seen() -> None:
    board = PodsAndSecrets("osm")
    board.see_pods(seen(True, web=running()), 1.0)
    board.see_pods(seen(True, web=running(phase="Succeeded")), 2.0)
    (found,) = board.proxies
    assert (found.seen_s, found.finished) == (1.0, True)
    board.see_pods(seen(False, web=None), 3.0)
    assert list(board.proxies) == []


def test_secrets_come_and_go() -> None:
    meta = msgspec.convert(secret.made(PROXY, CERTIFICATE, "ROOTS", MESH)["metadata"], ObjectMeta)
    board = PodsAndSecrets("osm")
    board.wrote(secret.remembered(PROXY, CERTIFICATE, "ROOTS", 1.0))
    assert board.secrets is None, "who does not hold the lease keeps none"
    board.see_secrets(Seen(full=True, objects={("shop", NAME): Object(metadata=meta)}))
    assert board.secrets is not None
    assert list(board.secrets) == [("shop", UUID)]
    board.see_secrets(Seen(full=False, objects={("shop", NAME): None}))
    assert board.secrets == {}


def test_no_secret_is_without_a_pod_before_all_pods_are_read() -> None:
    meta = msgspec.convert(secret.made(PROXY, CERTIFICATE, "ROOTS", MESH)["metadata"], ObjectMeta)
    board = PodsAndSecrets("osm")
    board.see_secrets(Seen(full=True, objects={("shop", NAME): Object(metadata=meta)}))
    assert board.tended is None
    board.see_pods(seen(True, web=running()), 1.0)
    assert board.tended == board.secrets != {}


def test_what_was_promised_is_remembered_for_a_while_and_never_without_bound() -> None:
    board = PodsAndSecrets("osm")
    for number in range(MOST_REMEMBERED + 5):
        board.admit(str(number), 0.0)
    assert len(board.admitted) == MOST_REMEMBERED
    board.admit("new", REMEMBERED_S + 1)
    assert list(board.admitted) == ["new"]
    board.settle("new")
    assert not board.admitted
