"""The certificates that this replica hands out: one leaf for each identity that has a proxy here, and its own.

Each replica makes its own keys, so secrets are the one thing that differs between replicas; their version says
issuer and end of life, and a leaf is sent again only when it was renewed.
"""

import asyncio
from collections.abc import Callable
from hashlib import blake2b

from osm.ads.resource import Resource
from osm.bus import Bus
from osm.contracts.names import Identity
from osm.contracts.trust import Bundle, MeshLeaf
from osm.pki.holder import Held, Holder
from services.xds.translate import LEAF, bundle_name, bundle_secret, leaf_secret

GRACE_S = 60.0
"""How long a leaf is kept fresh after its identity's last proxy has left: most come back."""


class Leaves:
    """Keeps a leaf for every identity that is wanted, and hands each new secret to whoever asked by `hand_to`, who is
    also told when one is kept no longer."""

    def __init__(self, bus: Bus, tasks: asyncio.TaskGroup, trust_domain: str) -> None:
        self._bus = bus
        self._trust_domain = trust_domain
        self._tasks = tasks
        self._issued: Callable[[Identity, Resource], None] = lambda *_: None
        self._forgotten: Callable[[Identity], None] = lambda _: None
        self._holders: dict[Identity, Holder] = {}
        self._keepers: dict[Identity, tuple[asyncio.Task[None], asyncio.Task[None]]] = {}
        self._lifetime_s: int | None = None

    def hand_to(self, issued: Callable[[Identity, Resource], None], forgotten: Callable[[Identity], None]) -> None:
        """From now on, call `issued` with every new secret and whose it is, and `forgotten` with an identity whose leaf
        is not kept any more."""
        self._issued, self._forgotten = issued, forgotten

    def want(self, identity: Identity) -> None:
        """Begin to keep a leaf for this identity, unless it is kept already."""
        if identity in self._holders:
            return
        subject = MeshLeaf(identity=identity)
        holder = Holder(self._bus, subject, trust_domain=self._trust_domain, lifetime_s=self._lifetime_s)
        self._holders[identity] = holder
        self._keepers[identity] = (
            self._tasks.create_task(holder.run(), name=f"xds: leaf of {identity}"),
            self._tasks.create_task(self._hand_out(identity, holder), name=f"xds: secret of {identity}"),
        )

    def earliest_end_s(self) -> float | None:
        """When the first of the leaves that were handed out ends, seconds since the epoch; None before the first."""
        ends = (each.held.chain.not_after_s for each in self._holders.values() if each.held is not None)
        return min(ends, default=None)

    def why_none(self, identity: Identity) -> str:
        """What stands between this identity and its leaf."""
        return self._holders[identity].why if identity in self._holders else ""

    def keep_only(self, wanted: set[Identity]) -> None:
        """Stop keeping leaves of identities that have no proxy here any more."""
        for identity in sorted(self._holders.keys() - wanted):
            del self._holders[identity]
            for task in self._keepers.pop(identity):
                task.cancel()
            self._forgotten(identity)

    def lifetime(self, seconds: int) -> None:
        """The mesh's wish for leaves' lives; those that live longer than a new wish are renewed now."""
        if seconds == self._lifetime_s:
            return
        is_first, self._lifetime_s = self._lifetime_s is None, seconds
        for holder in self._holders.values():
            if not is_first:
                holder.renew(seconds)

    async def _hand_out(self, identity: Identity, holder: Holder) -> None:
        async for held in holder.changes():
            self._issued(identity, leaf_resource(held))


def leaf_resource(held: Held) -> Resource:
    """The SDS secret of a leaf. Its version is made of public parts alone."""
    chain = held.chain
    version = blake2b(f"{chain.issuer} {chain.not_after_s} {chain.chain_pem}".encode(), digest_size=8).hexdigest()
    return Resource.of(LEAF, leaf_secret(chain.chain_pem, held.key_pem()), version=version)


def bundle_resource(bundle: Bundle) -> Resource:
    """The SDS secret of the roots that the trust domain accepts."""
    name = bundle_name(bundle.trust_domain)
    return Resource.of(name, bundle_secret(name, bundle.roots_pem))


async def forget_unused(leaves: Leaves, wanted: Callable[[], set[Identity]]) -> None:
    """Endless: let go of leaves whose identity has had no proxy here for a while."""
    before: set[Identity] = set()
    while True:
        await asyncio.sleep(GRACE_S)
        now = wanted()
        leaves.keep_only(now | before)
        before = now
