"""The webhooks of `injector`: what a real API server may ask, what it needs to ask at all, and what a stranger gets."""

import base64
import ssl

import httpx
import msgspec
import yaml

from osm.k8s import resource
from osm.k8s.errors import ApiError, Busy, NotFound
from osm.k8s.objects import Object
from osm.runtime.health import Health
from services.injector import ca_bundles
from services.injector.app import run
from services.injector.settings import Settings
from tests.kubernetes.injector_town import at_work, made_secret, uuid_of
from tests.kubernetes.running import until
from tests.served import served

JSON = {"content-type": "application/json"}


async def test_who_takes_the_roots_out_of_the_webhook_finds_them_back(town, monkeypatch):
    monkeypatch.setattr(ca_bundles, "LOOK_AGAIN_S", 0.2)
    name = f"osm-webhook-{town.mesh}"

    async def bundle():
        found = await town.cluster.get(resource.MUTATING_WEBHOOKS, name, as_=dict)
        return found["webhooks"][0]["clientConfig"].get("caBundle", "")

    async with at_work(town):
        before = await bundle()
        assert base64.b64decode(before).startswith(b"-----BEGIN CERTIFICATE-----")
        change = {"webhooks": [{"name": "osm-inject.k8s.io", "clientConfig": {"caBundle": ""}}]}
        await town.cluster.patch(resource.MUTATING_WEBHOOKS, name, change, how="strategic")
        assert await until(bundle) == before


async def test_an_injector_whom_the_api_server_cannot_ask_is_not_ready(town):
    await town.take_away()
    health = Health("injector", "one", "v", 0.0)
    settings = Settings(
        namespace=town.home, mesh=town.mesh, kubeconfig=town._kubeconfig, listen=f"127.0.0.1:{town.port}"
    )

    async def waits():
        return any(f"osm-webhook-{town.mesh}" in each for each in health.status.waiting_for)

    async def ready():
        return health.ready

    async with town.bus(), town.certmgr(), served(run, town.core.bus("injector"), settings, health):
        await until(waits)
        assert not health.ready
        await town.cluster.create(resource.MUTATING_WEBHOOKS, town._webhook())
        await until(ready)


TARGET = "deploy/chart/crds/access.smi-spec.io_traffictargets.yaml"


def target(namespace, *, of):
    account = {"kind": "ServiceAccount", "name": "store", "namespace": of}
    return {
        "metadata": {"name": "who", "namespace": namespace},
        "spec": {"destination": account, "sources": [account], "rules": [{"kind": "TCPRoute", "name": "sql"}]},
    }


async def test_a_policy_that_would_not_be_in_force_is_not_stored_and_nobody_is_locked_out(town, pytestconfig):
    crd = yaml.safe_load((pytestconfig.rootpath / TARGET).read_text())
    await town.cluster.patch(resource.CRDS, crd["metadata"]["name"], crd, how="apply")

    async def served():
        try:
            return await town.cluster.list(resource.TRAFFIC_TARGETS, town.shop, as_=Object) == ()
        except (NotFound, Busy):
            return False

    await until(served)
    await town.cluster.create(resource.TRAFFIC_TARGETS, target(town.shop, of="elsewhere"))
    rule = {"operations": ["CREATE", "UPDATE"], "apiGroups": ["access.smi-spec.io"], "resources": ["traffictargets"]}
    hook = town._webhook()["webhooks"][0] | {
        "name": "osm-validator.k8s.io",
        "clientConfig": {"url": f"https://localhost:{town.port}/validate"},
        "rules": [rule | {"apiVersions": ["v1alpha3"]}],
    }
    body = {"metadata": {"name": f"osm-validator-mesh-{town.mesh}"}, "webhooks": [hook]}
    await town.cluster.create(resource.VALIDATING_WEBHOOKS, body)
    async with at_work(town):

        async def refused():
            wrong = target(town.shop, of="elsewhere") | {"metadata": {"name": "wrong", "namespace": town.shop}}
            try:
                await town.cluster.create(resource.TRAFFIC_TARGETS, wrong, dry_run=True)
            except ApiError as error:
                return str(error) if "spec.destination" in str(error) else ""
            return ""

        said = await until(refused)
        assert 'the TrafficTarget\'s own namespace, found "elsewhere"' in said
        good = target(town.shop, of=town.shop) | {"metadata": {"name": "good", "namespace": town.shop}}
        await town.cluster.create(resource.TRAFFIC_TARGETS, good)
        label = {"metadata": {"labels": {"a": "b"}}}
        await town.cluster.patch(resource.TRAFFIC_TARGETS, "who", label, town.shop)
        await town.cluster.delete(resource.TRAFFIC_TARGETS, "who", town.shop)


async def test_a_stranger_may_ask_and_has_no_effect_and_learns_no_secret(town):
    """Whoever reaches the port may post a review: what it describes does not exist, so nothing is made for it."""
    request = {"uid": "1", "kind": {"version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": town.shop}
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": request | {"object": town.pod("forged")},
    }
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    async with at_work(town), httpx.AsyncClient(verify=careless, timeout=60) as client:
        url = f"https://localhost:{town.port}/mutate-pod-creation"
        answers = [await client.post(url, content=msgspec.json.encode(review), headers=JSON) for _ in range(5)]
        real = uuid_of(await town.make(town.pod("real")))
        await made_secret(town, real)
        assert await town.secrets() == {real}
        patches = [base64.b64decode(answer.json()["response"]["patch"]) for answer in answers]
        assert all(b"osm-init" in patch and b"PRIVATE KEY" not in patch for patch in patches)
        elsewhere = review | {"request": request | {"namespace": "nowhere", "object": town.pod("forged")}}
        refused = await client.post(url, content=msgspec.json.encode(elsewhere), headers=JSON)
        assert (refused.status_code, refused.text) == (400, "there is no namespace nowhere\n")
