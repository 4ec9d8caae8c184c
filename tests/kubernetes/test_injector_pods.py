"""What becomes of a pod whose making a real API server asks `injector` about."""

import json

import pytest

from osm.contracts.names import Identity
from osm.contracts.policy import Injection, Mesh
from osm.k8s.errors import ApiError, Forbidden, Invalid
from osm.pki.reading import spiffe_id
from tests.kubernetes.injector_town import SWITCH, at_work, certificate, made_secret, uuid_of
from tests.kubernetes.running import until


async def test_a_pod_comes_out_with_its_sidecar_and_a_secret_that_goes_with_it(town):
    async with at_work(town):
        pod = await town.make(town.pod())
        uuid = uuid_of(pod)
        assert [each["name"] for each in pod["spec"]["initContainers"]] == ["osm-init", "envoy"]
        assert pod["spec"]["containers"][0]["livenessProbe"]["httpGet"]["path"] == "/osm-liveness-probe/web"
        secret = await made_secret(town, uuid)
    (owner,) = secret.metadata.owner_references
    assert (owner.kind, owner.name, owner.uid) == ("Pod", "web", pod["metadata"]["uid"])
    assert sorted(secret.data) == ["bootstrap.json", "certificate.json", "roots.json"]
    found = spiffe_id(certificate(secret))
    assert (found.identity, found.proxy_id) == (Identity(town.shop, "store"), f"{uuid}.{town.shop}")
    bootstrap = json.loads(secret.data["bootstrap.json"])
    assert bootstrap["node"]["id"] == f"{uuid}.{town.shop}"
    assert "osm-liveness-probes" in secret.data["bootstrap.json"].decode()


async def test_what_the_mesh_says_of_new_pods_is_in_them(town):
    async with at_work(town, Mesh(injection=Injection(envoy_image="mirror/envoy:1", outbound_port_exclusions=(5432,)))):
        init, sidecar = (await town.make(town.pod(), dry_run=True))["spec"]["initContainers"]
    assert sidecar["image"] == "mirror/envoy:1"
    assert any("5432" in each.get("value", "") for each in init["env"])


async def test_a_dry_run_leaves_nothing(town):
    async with at_work(town):
        assert uuid_of(await town.make(town.pod("dry"), dry_run=True))
        kept = uuid_of(await town.make(town.pod("real")))
        await made_secret(town, kept)
        assert await town.secrets() == {kept}


async def test_without_an_injector_no_pod_of_the_mesh_is_made_and_every_other_is(town):
    """Rather none than one that speaks past the mesh."""
    async with at_work(town):
        pass

    async def refused():
        try:
            await town.make(town.pod("late"), dry_run=True)
        except ApiError as error:
            return "osm-inject.k8s.io" in str(error)
        return False

    await until(refused)
    bare = town.pod("bare")
    bare["metadata"]["namespace"] = town.home
    assert not uuid_of(await town.make(bare))


@pytest.mark.parametrize(
    ("annotations", "spec", "why"),
    [
        ({SWITCH: "on"}, {}, f'annotation {SWITCH}: found "on", allowed are enabled, yes, true and disabled'),
        (
            {"openservicemesh.io/outbound-port-exclusion-list": "80,x"},
            {},
            'found "x", allowed are ports from 1 to 65535',
        ),
        ({}, {"securityContext": {"runAsUser": 1500}}, "runAsUser 1500 is the sidecar's"),
    ],
)
async def test_who_makes_a_pod_that_cannot_work_reads_why(town, annotations, spec, why):
    async with at_work(town):
        with pytest.raises(Forbidden) as refused:
            await town.make(town.pod(annotations=annotations, **spec))
    assert why in str(refused.value)


async def test_who_makes_a_pod_without_containers_reads_it_from_the_api_server(town):
    async with at_work(town):
        with pytest.raises(Invalid, match=r"spec\.containers: Required value"):
            await town.make(town.pod(containers=None))


async def test_a_pod_may_stay_out(town):
    async with at_work(town):
        assert not uuid_of(await town.make(town.pod(annotations={SWITCH: "disabled"})))


async def test_a_change_of_the_namespace_counts_at_once(town):
    async with at_work(town):
        await town.annotate({SWITCH: "disabled"})
        assert not uuid_of(await town.make(town.pod("out")))
        await town.annotate({SWITCH: "enabled"})
        assert uuid_of(await town.make(town.pod("in")))
