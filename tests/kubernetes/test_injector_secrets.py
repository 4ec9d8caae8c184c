"""The Secrets of sidecars on a real API server: made, kept, collected, and told of where they cannot be."""

import asyncio

from osm.k8s import resource
from services.injector import secret_chores, secret_controller
from tests.kubernetes.injector_town import SWITCH, at_work, certificate, made_secret, uuid_of
from tests.kubernetes.running import until


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


async def test_what_another_mesh_has_injected_is_its_own(town, monkeypatch):
    """Of the same cluster, under the same labels: OSM itself, before a migration."""
    monkeypatch.setattr(secret_chores, "OTHERS_FIRST_S", 0.0)  # else it would be too early to look
    uuid = "99999999-2222-4333-8444-555555555555"
    name = f"envoy-bootstrap-config-{uuid}"
    theirs = town.pod("theirs", {SWITCH: "disabled"}, volumes=[{"name": "v", "secret": {"secretName": name}}])
    theirs["metadata"]["labels"] = {"osm-proxy-uuid": uuid}
    async with at_work(town):
        await town.make(theirs)
        await made_secret(town, uuid_of(await town.make(town.pod())))
        assert uuid not in await town.secrets()


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
