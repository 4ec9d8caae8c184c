"""`injector` before a real API server that asks it by its webhooks: real certificates, real Secrets, no kubelet."""

import asyncio
import base64
import itertools
import json
import socket
import ssl
import time
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import msgspec
import pytest
import yaml

import services.certmgr.app
import services.certmgr.settings
from osm.bus.memory import MemoryCore
from osm.contracts.channels import BUNDLE, IDENTITY, MESH_CONFIG, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.policy import Injection, Mesh
from osm.contracts.trust import Bundle, Chain, SignReply
from osm.k8s import resource
from osm.k8s.client import connected
from osm.k8s.errors import ApiError, Forbidden, Invalid, NotFound
from osm.k8s.objects import Lease, Object, Secret
from osm.pki import issuing
from osm.pki.keys import make_key, read_csr
from osm.pki.reading import chain_pem, load_chain, spiffe_id
from osm.runtime.health import Health
from osm.testing import cluster_objects as made
from services.injector import ca_bundles, secret_chores, secret_controller
from services.injector.app import run
from services.injector.settings import Settings

_numbers = itertools.count(1)
SWITCH = "openservicemesh.io/sidecar-injection"
JSON = {"content-type": "application/json"}


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Town:
    """A control plane and a meshed namespace of its own, on the shared API server and a bus in memory."""

    def __init__(self, cluster, kubeconfig, folder):
        number = next(_numbers)
        self.cluster = cluster
        self.core = MemoryCore()
        self.mesh = f"injector-mesh-{number}"
        self.home = f"injector-home-{number}"
        self.shop = f"injector-shop-{number}"
        self.port = free_port()
        self._kubeconfig = str(kubeconfig)
        self._folder = folder

    async def found(self):
        for name in (self.home, self.shop):
            member = {"openservicemesh.io/monitored-by": self.mesh} if name == self.shop else {}
            await self.cluster.create(resource.NAMESPACES, made.namespace(name, labels=member, annotations={}))
        await self.annotate({SWITCH: "enabled"})
        await self.cluster.create(resource.MUTATING_WEBHOOKS, self._webhook())

    async def annotate(self, annotations):
        await self.cluster.patch(resource.NAMESPACES, self.shop, {"metadata": {"annotations": annotations}})

    def _webhook(self):
        rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
        return {
            "metadata": {"name": f"osm-webhook-{self.mesh}"},
            "webhooks": [
                {
                    "name": "osm-inject.k8s.io",
                    "clientConfig": {"url": f"https://localhost:{self.port}/mutate-pod-creation"},
                    "rules": [rule],
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "timeoutSeconds": 20,
                    "admissionReviewVersions": ["v1"],
                    "namespaceSelector": {"matchLabels": {"openservicemesh.io/monitored-by": self.mesh}},
                }
            ],
        }

    async def take_away(self):
        for what, name in (
            (resource.MUTATING_WEBHOOKS, f"osm-webhook-{self.mesh}"),
            (resource.VALIDATING_WEBHOOKS, f"osm-validator-mesh-{self.mesh}"),
        ):
            try:
                await self.cluster.delete(what, name)
            except NotFound:
                continue

    @asynccontextmanager
    async def certmgr(self, **more):
        settings = services.certmgr.settings.Settings(ca_folder=str(self._folder / "ca"), namespace=self.home, **more)
        async with running("certmgr", services.certmgr.app.run, self.core, settings) as health:
            yield health

    @asynccontextmanager
    async def injector(self, replica="one", port=None):
        settings = Settings(
            namespace=self.home,
            mesh=self.mesh,
            kubeconfig=self._kubeconfig,
            listen=f"127.0.0.1:{port or self.port}",
        )
        async with running("injector", run, self.core, settings, replica) as health:
            yield health

    @asynccontextmanager
    async def bus(self, mesh=None):
        """What meshspec and endpoints have published."""
        documents = {MESH_CONFIG.key(): mesh} if mesh else {}
        member = Identity(self.shop, "store")
        async with (
            self.core.bus("meshspec").writer("meshspec") as meshspec,
            self.core.bus("endpoints").writer("endpoints") as endpoints,
        ):
            await meshspec.publish(documents)
            await endpoints.publish({IDENTITY.key(self.shop, "store"): MeshIdentity(identity=member)})
            yield

    def pod(self, name="web", annotations=None, **spec):
        return {
            "metadata": {"name": name, "namespace": self.shop, "annotations": annotations or {}},
            "spec": {
                "serviceAccountName": "store",
                "containers": [{"name": "web", "image": "web:1", "livenessProbe": {"tcpSocket": {"port": 8080}}}],
                **spec,
            },
        }

    async def make(self, pod, *, dry_run=False):
        return await self.cluster.create(resource.PODS, pod, dry_run=dry_run)

    async def injecting(self):
        """Until the API server has heard of the webhook and trusts it: the two take it a moment."""

        async def injected():
            try:
                return uuid_of(await self.make(self.pod("try"), dry_run=True))
            except ApiError:
                return ""

        await until(injected)

    async def secret(self, uuid):
        return await self.cluster.get(resource.SECRETS, f"envoy-bootstrap-config-{uuid}", self.shop, as_=Secret)

    async def secrets(self):
        found = await self.cluster.list(resource.SECRETS, self.shop, as_=Object, labels="osm-proxy-uuid")
        return {each.metadata.labels["osm-proxy-uuid"] for each in found}


@asynccontextmanager
async def running(name, service, core, settings, replica="one"):
    health = Health(name, replica, "v", 0.0)
    task = asyncio.create_task(service(core.bus(name), settings, health))
    try:
        async with asyncio.timeout(60):
            while not health.ready and not task.done():
                await asyncio.sleep(0.02)
        yield health
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


async def until(condition):
    async with asyncio.timeout(60):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


def uuid_of(pod):
    return pod["metadata"].get("labels", {}).get("osm-proxy-uuid", "")


@pytest.fixture
async def town(api, tmp_path):
    async with connected(str(api)) as cluster:
        town = Town(cluster, api, tmp_path)
        await town.found()
        try:
            yield town
        finally:
            await town.take_away()


@asynccontextmanager
async def at_work(town, mesh=None, **certmgr):
    async with town.bus(mesh), town.certmgr(**certmgr), town.injector() as health:
        await town.injecting()
        yield health


async def made_secret(town, uuid):
    async def there():
        return uuid in await town.secrets()

    await until(there)
    return await town.secret(uuid)


def certificate(secret):
    text = json.loads(secret.data["certificate.json"])["resources"][0]["tls_certificate"]
    return load_chain(text["certificate_chain"]["inline_string"])[0]


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


async def test_a_secret_that_was_deleted_is_made_again(town, monkeypatch):
    monkeypatch.setattr(secret_chores, "OTHERS_FIRST_S", 0.1)
    async with at_work(town):
        uuid = uuid_of(await town.make(town.pod()))
        first = await made_secret(town, uuid)
        await town.cluster.delete(resource.SECRETS, first.metadata.name, town.shop)
        second = await made_secret(town, uuid)
    assert certificate(first) != certificate(second)


async def test_a_secret_whose_pod_is_gone_is_collected(town, monkeypatch):
    """Without Kubernetes' own garbage collector, which does not run here."""
    monkeypatch.setattr(secret_chores, "GRACE_S", 0.1)
    async with at_work(town):
        uuid = uuid_of(await town.make(town.pod()))
        await made_secret(town, uuid)
        await town.cluster.delete(resource.PODS, "web", town.shop)

        async def gone():
            return not await town.secrets()

        await until(gone)


async def test_a_secret_that_nobody_owns_is_given_to_its_pod(town):
    async with at_work(town):
        uuid = uuid_of(await town.make(town.pod()))
        secret = await made_secret(town, uuid)
        await town.cluster.patch(
            resource.SECRETS, secret.metadata.name, {"metadata": {"ownerReferences": None}}, town.shop
        )

        async def owned():
            return (await town.secret(uuid)).metadata.owner_references

        assert await until(owned) == secret.metadata.owner_references


async def test_a_copy_of_a_pod_is_a_proxy_of_its_own(town):
    async with at_work(town):
        pod = await town.make(town.pod())
        meta = {"name": "copy", "namespace": town.shop, "labels": pod["metadata"]["labels"]}
        copy = await town.make({"metadata": meta, "spec": pod["spec"]})
        uuids = {uuid_of(pod), uuid_of(copy)}
        assert len(uuids) == 2
        secret = await made_secret(town, uuid_of(copy))
        assert secret.metadata.owner_references[0].uid == copy["metadata"]["uid"]
        await made_secret(town, uuid_of(pod))


async def test_what_another_mesh_has_injected_is_its_own(town):
    """Of the same cluster, under the same labels: OSM itself, before a migration."""
    uuid = "99999999-2222-4333-8444-555555555555"
    name = f"envoy-bootstrap-config-{uuid}"
    theirs = town.pod("theirs", {SWITCH: "disabled"}, volumes=[{"name": "v", "secret": {"secretName": name}}])
    theirs["metadata"]["labels"] = {"osm-proxy-uuid": uuid}
    async with at_work(town):
        await town.make(theirs)
        await made_secret(town, uuid_of(await town.make(town.pod())))
        assert uuid not in await town.secrets()


class OwnCa:
    """A certmgr whose roots a test changes."""

    def __init__(self, town):
        self._town = town
        self._key = make_key()
        self.root = self._made(self._key)

    def _made(self, key):
        now_s = time.time()
        return issuing.make_root(key, trust_domain="cluster.local", now_s=now_s, lifetime_s=7200, serial=1)

    async def answer(self, _, request):
        leaf = issuing.sign(
            issuing.profile_of(request.subject, "cluster.local"),
            issuing.signable(read_csr(request.csr_pem)),
            issuer=self.root,
            issuer_key=self._key,
            now_s=time.time(),
            lifetime_s=3600,
            serial=2,
        )
        now_s = int(time.time())
        return SignReply(
            outcome=Chain(chain_pem=chain_pem([leaf]), issuer="x", not_before_s=now_s, not_after_s=now_s + 3600)
        )

    def bundle(self, *more):
        roots = (chain_pem([self.root]), *more)
        return {BUNDLE.key("cluster.local"): Bundle(trust_domain="cluster.local", roots_pem=roots)}


async def test_a_new_root_is_in_every_secret_and_webhook_at_once_and_no_key_changes(town):
    ca = OwnCa(town)
    other = chain_pem([ca._made(make_key())])
    bus = town.core.bus("certmgr")
    async with town.bus(), bus.serve(SIGN, ca.answer), bus.writer("certmgr") as writer:
        await writer.publish(ca.bundle())
        async with town.injector():
            await town.injecting()
            uuids = [uuid_of(await town.make(town.pod(f"web-{number}"))) for number in range(5)]
            before = [await made_secret(town, uuid) for uuid in uuids]
            await writer.apply(ca.bundle(other))

            async def trusted():
                now = [await town.secret(uuid) for uuid in uuids]
                lines = other.splitlines()
                return now if all(lines[1] in each.data["roots.json"].decode() for each in now) else None

            after = await until(trusted)
            found = await town.cluster.get(resource.MUTATING_WEBHOOKS, f"osm-webhook-{town.mesh}", as_=dict)
            bundle = base64.b64decode(found["webhooks"][0]["clientConfig"]["caBundle"]).decode()
            assert other in bundle
    assert [certificate(each) for each in before] == [certificate(each) for each in after]


async def test_whoever_waits_for_a_certificate_is_told_why_at_the_pod(town, monkeypatch):
    monkeypatch.setattr(secret_controller, "retry_in", lambda *_: 0.05)
    async with at_work(town):
        stranger = town.pod("stranger")
        stranger["spec"]["serviceAccountName"] = "nobody"
        uid = (await town.make(stranger))["metadata"]["uid"]

        async def told():
            events = await town.cluster.list(resource.EVENTS, town.shop, as_=dict)
            return [each["message"] for each in events if each["involvedObject"].get("uid") == uid]

        (said,) = await until(told)
    assert said.startswith("its sidecar waits for a certificate: ")
    assert f"{town.shop}/nobody is not in the mesh" in said


async def test_a_secret_that_is_in_the_way_of_ours_is_told_at_the_pod_and_left_alone(town, monkeypatch):
    monkeypatch.setattr(secret_controller, "retry_in", lambda *_: 0.05)
    monkeypatch.setattr(secret_chores, "OTHERS_FIRST_S", 0.1)
    async with at_work(town):
        pod = await town.make(town.pod())
        secret = await made_secret(town, uuid_of(pod))
        unmarked = {"metadata": {"labels": {"osm-proxy-uuid": None}}}
        await town.cluster.patch(resource.SECRETS, secret.metadata.name, unmarked, town.shop)

        async def told():
            events = await town.cluster.list(resource.EVENTS, town.shop, as_=dict)
            return [each["message"] for each in events if each["involvedObject"]["uid"] == pod["metadata"]["uid"]]

        (said,) = await until(told)
        left = await town.secret(uuid_of(pod))
    assert f'"{secret.metadata.name}" already exists' in said
    assert left.data == secret.data


async def test_a_hundred_pods_at_once_all_get_their_secrets(town):
    async with at_work(town):
        few = asyncio.Semaphore(10)

        async def make(number):
            async with few:
                return await town.make(town.pod(f"web-{number}"))

        pods = await asyncio.gather(*map(make, range(100)))
        wanted = {uuid_of(pod) for pod in pods}
        assert len(wanted) == 100

        async def all_there():
            return await town.secrets() == wanted

        await until(all_there)


async def test_of_two_injectors_one_renews_and_the_other_takes_over(town, monkeypatch):
    monkeypatch.setattr(secret_controller, "LONGEST_NAP_S", 0.2)
    short = {"allow_short_lifetimes": True, "proxy_lifetime_s": 4}

    async def renewed_after(uuid, before):
        async def newer():
            found = await town.secret(uuid)
            return found if certificate(found) != certificate(before) else None

        return await until(newer)

    async with town.bus(), town.certmgr(**short), AsyncExitStack() as second:
        async with town.injector("one"):
            await second.enter_async_context(town.injector("two", free_port()))
            await town.injecting()
            uuid = uuid_of(await town.make(town.pod()))
            secret = await made_secret(town, uuid)
            lease = await town.cluster.get(resource.LEASES, "osm-injector", town.home, as_=Lease)
            assert lease.spec.holder_identity == "one"
            secret = await renewed_after(uuid, secret)
        secret = await renewed_after(uuid, secret)
        lease = await town.cluster.get(resource.LEASES, "osm-injector", town.home, as_=Lease)
        assert lease.spec.holder_identity == "two"
    assert spiffe_id(certificate(secret)).proxy_id == f"{uuid}.{town.shop}"


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
    async with town.bus(), town.certmgr():
        settings = Settings(
            namespace=town.home, mesh=town.mesh, kubeconfig=town._kubeconfig, listen=f"127.0.0.1:{town.port}"
        )
        task = asyncio.create_task(run(town.core.bus("injector"), settings, health))

        async def waits():
            return any(f"osm-webhook-{town.mesh}" in each for each in health.status.waiting_for)

        try:
            await until(waits)
            assert not health.ready
            await town.cluster.create(resource.MUTATING_WEBHOOKS, town._webhook())

            async def ready():
                return health.ready

            await until(ready)
        finally:
            task.cancel()
            await asyncio.wait([task])


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
        except NotFound:
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
    async with at_work(town), httpx.AsyncClient(verify=careless, timeout=20) as client:
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
