"""New roots and certificates reach Secrets and webhooks on a real API server, through a change of injectors too."""

import base64
import time
from contextlib import AsyncExitStack

from osm.contracts.channels import BUNDLE, SIGN
from osm.contracts.trust import Bundle, Chain, SignReply
from osm.k8s import resource
from osm.k8s.objects import Lease
from osm.pki import issuing
from osm.pki.keys import make_key, read_csr
from osm.pki.reading import chain_pem, spiffe_id
from osm.testing.free_ports import free_port
from services.injector import secret_controller
from tests.kubernetes.injector_town import certificate, made_secret, uuid_of
from tests.kubernetes.running import until


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

            async def webhook_trusts():
                found = await town.cluster.get(resource.MUTATING_WEBHOOKS, f"osm-webhook-{town.mesh}", as_=dict)
                return other in base64.b64decode(found["webhooks"][0]["clientConfig"]["caBundle"]).decode()

            after = await until(trusted)
            await until(webhook_trusts)
    assert [certificate(each) for each in before] == [certificate(each) for each in after]


async def test_of_two_injectors_one_renews_and_the_other_takes_over(town, monkeypatch):
    monkeypatch.setattr(secret_controller, "LONGEST_NAP_S", 0.2)
    short = {"allow_short_lifetimes": True, "proxy_lifetime_s": 4}

    async def holder():
        found = await town.cluster.get(resource.LEASES, "osm-injector", town.home, as_=Lease)
        return found.spec.holder_identity

    async def second_leads():
        return await holder() == "two"

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
            await renewed_after(uuid, secret)
            assert await holder() == "one"
        await until(second_leads)
        secret = await renewed_after(uuid, await town.secret(uuid))  # the first may have renewed it on its way out
    assert spiffe_id(certificate(secret)).proxy_id == f"{uuid}.{town.shop}"
