import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest
import structlog
from msgspec import structs

from osm.bus import NoAnswer
from osm.contracts.names import Identity
from osm.contracts.trust import Chain, MeshLeaf, ProxyClient, Refused, SignReply
from osm.pki.holder import REFUSED_PAUSE_S, Held, Holder, certify
from osm.pki.issuing import make_root, profile_of, sign, signable
from osm.pki.keys import make_csr, make_key, read_csr
from osm.pki.reading import chain_pem, key_id, load_chain, not_after_s, not_before_s

STORE = MeshLeaf(identity=Identity("bookstore", "bookstore"))
ROOT_KEY = make_key()
START_S = 1_800_000_000.0
ROOT = make_root(ROOT_KEY, trust_domain="cluster.local", now_s=START_S - 1000, lifetime_s=10**8, serial=1)


class World:
    """A clock that waiting moves, and a certmgr that answers as told (then signs)."""

    name = "xds"

    def __init__(self, *script):
        self.now_s = START_S
        self.script = list(script)
        self.asked = []
        self.waits = []
        self.lifetime_s = 3600

    async def ask(self, rpc, request, *, timeout_s):
        self.asked.append((self.now_s, request))
        await asyncio.sleep(0)
        outcome = self.script.pop(0) if self.script else self.signed(request)
        if isinstance(outcome, Exception):
            raise outcome
        return SignReply(outcome=outcome)

    def signed(self, request, csr_pem=None):
        certificate = sign(
            profile_of(request.subject, "cluster.local"), signable(read_csr(csr_pem or request.csr_pem)),
            issuer=ROOT, issuer_key=ROOT_KEY, now_s=self.now_s,
            lifetime_s=request.lifetime_s or self.lifetime_s, serial=len(self.asked),
        )  # fmt: skip
        return Chain(
            chain_pem=chain_pem([certificate]), issuer=key_id(ROOT),
            not_before_s=not_before_s(certificate), not_after_s=not_after_s(certificate),
        )  # fmt: skip

    async def wait(self, event, most_s):
        self.waits.append(most_s)
        await asyncio.sleep(0)
        if not event.is_set():
            self.now_s += most_s

    def holder(self, **more):
        return Holder(
            self,
            STORE,
            trust_domain="cluster.local",
            clock=lambda: self.now_s,
            jitter=lambda: 0.5,
            wait=self.wait,
            **more,
        )


@asynccontextmanager
async def running(holder):
    task = asyncio.create_task(holder.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def newest(holder, count):
    found = []
    async for held in holder.changes():
        found.append(held)
        if len(found) == count:
            break
    return found


async def test_the_chain_handed_out_is_for_the_key_handed_out():
    holder = World().holder()
    async with running(holder):
        held = await holder.obtain()
    assert load_chain(held.chain.chain_pem)[0].public_key() == held.key.public_key()
    assert holder.why == ""


async def test_there_is_none_before_certmgr_has_answered():
    holder = World().holder()
    assert holder.current is None
    assert holder.why == "certmgr has not answered yet"


async def test_renewal_comes_at_two_thirds_of_the_life_with_a_new_key():
    world = World()
    holder = world.holder()
    async with running(holder):
        first, second = await newest(holder, 2)
    assert first.key.public_key() != second.key.public_key()
    life_s = 3600 + 60
    assert world.asked[1][0] == pytest.approx(START_S - 60 + life_s * 2 / 3, abs=1)


async def test_no_nap_is_so_long_that_a_jump_of_the_clock_is_missed():
    world = World()
    holder = world.holder()
    async with running(holder):
        await newest(holder, 2)
    assert max(world.waits) <= 60


async def test_a_bus_that_is_away_is_asked_again_with_growing_pauses():
    world = World(*[NoAnswer("certmgr sign: nobody serves it")] * 4)
    holder = world.holder()
    async with running(holder):
        await holder.obtain()
    assert len(world.asked) == 5
    assert world.waits[:4] == sorted(world.waits[:4])
    assert world.waits[0] < world.waits[3]


async def test_what_stands_in_the_way_is_told():
    world = World(Refused(why="bookstore/bookstore is not in the mesh", retry=False))
    holder = world.holder()
    blocked = asyncio.Event()

    async def wait(event, most_s):
        world.waits.append(most_s)
        blocked.set()
        await event.wait()

    holder._wait = wait
    async with running(holder):
        await blocked.wait()
        assert holder.why == "bookstore/bookstore is not in the mesh"
        assert world.waits == [REFUSED_PAUSE_S]
        holder.renew()
        await holder.obtain()


async def test_a_renewal_that_fails_keeps_the_old_certificate_until_it_ends():
    world = World()
    holder = world.holder()
    async with running(holder):
        held = await holder.obtain()
        world.script = [NoAnswer("away")] * 3
        while len(world.asked) < 4:
            await asyncio.sleep(0)
            assert holder.current is held
    world.now_s = held.chain.not_after_s
    assert holder.current is None


async def test_a_chain_for_another_key_is_not_taken():
    world = World()
    holder = world.holder()
    real = world.signed

    def swapped(request):
        world.signed = real
        return real(request, make_csr(make_key()))

    world.signed = swapped
    async with running(holder):
        held = await holder.obtain()
    assert len(world.asked) == 2
    assert load_chain(held.chain.chain_pem)[0].public_key() == held.key.public_key()


@pytest.mark.parametrize(
    ("subject", "whom"),
    [
        (MeshLeaf(identity=Identity("shop", "thief")), "shop/thief"),
        (ProxyClient(identity=STORE.identity, proxy_id="web-0.shop"), "proxy web-0.shop of bookstore/bookstore"),
    ],
)
async def test_a_chain_for_another_name_is_not_taken(subject, whom):
    world = World()
    real = world.signed
    world.signed = lambda request: real(structs.replace(request, subject=subject))
    found = await certify(world, STORE, trust_domain="cluster.local", clock=lambda: world.now_s)
    assert found == Refused(why=f"the chain is for {whom}, asked for was bookstore/bookstore", retry=True)


async def test_a_clock_that_is_days_ahead_is_told_and_not_renewed_for_ever():
    world = World()
    holder = Holder(
        world,
        STORE,
        trust_domain="cluster.local",
        clock=lambda: world.now_s + 10**6,
        jitter=lambda: 0.5,
        wait=world.wait,
    )
    async with running(holder):
        while len(world.asked) < 10:
            await asyncio.sleep(0)
    assert holder.current is None
    assert holder.why.endswith("by this machine's clock; set the clock right")
    assert world.waits[-1] > 10


async def test_a_clock_that_is_ahead_does_not_ask_every_second():
    """To it a certificate of an hour is three quarters over when it is made."""
    world = World()
    holder = Holder(
        world,
        STORE,
        trust_domain="cluster.local",
        clock=lambda: world.now_s + 2700,
        jitter=lambda: 0.5,
        wait=world.wait,
    )
    async with running(holder):
        await newest(holder, 4)
    moments = [moment for moment, _ in world.asked]
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) >= 90


async def test_those_refused_together_do_not_come_back_together():
    waits = set()
    for jitter in (0.0, 0.5, 0.9):
        world = World(Refused(why="the root has ended"))
        holder = world.holder()
        holder._jitter = lambda it=jitter: it
        async with running(holder):
            await holder.obtain()
        waits.add(world.waits[0])
    assert len(waits) == 3


async def test_a_new_lifetime_is_asked_for_at_once():
    world = World()
    holder = world.holder(lifetime_s=3000)
    async with running(holder):
        await holder.obtain()
        holder.renew(lifetime_s=50)
        await newest(holder, 2)
    assert [request.lifetime_s for _, request in world.asked[:2]] == [3000, 50]


async def test_an_issuer_about_to_end_is_not_asked_in_a_tight_loop():
    world = World()
    world.lifetime_s = 1
    holder = world.holder()
    async with running(holder):
        await newest(holder, 5)
    moments = [moment for moment, _ in world.asked]
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) >= 1.0


async def test_no_key_is_in_a_repr_or_a_log_line():
    world = World(*[NoAnswer("away")] * 10)
    holder = world.holder()
    with structlog.testing.capture_logs() as lines:
        async with running(holder):
            held = await holder.obtain()
    assert [line["event"] for line in lines] == ["no certificate yet"]
    body = held.key_pem().splitlines()[1]
    assert body not in repr(held) + repr(lines)
    assert isinstance(held, Held)
