"""Keep one certificate fresh: make a key, ask certmgr over the bus, renew long before the end.

Used by whoever needs a certificate of the mesh (xds: its own and the leaves it hands out; local: its proxies').
The key stays in this process and in no log line. Files, Envoy and TLS contexts are the caller's matter.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn

import structlog

from osm.bus import Bus, BusError
from osm.contracts.channels import SIGN
from osm.contracts.codec import Undecodable
from osm.contracts.names import Identity
from osm.contracts.trust import Chain, ControlPlane, Gateway, MeshLeaf, ProxyClient, Refused, SignRequest
from osm.pki.issuing import profile_of, request
from osm.pki.keys import PrivateKey, key_pem, make_key
from osm.pki.reading import BadCertificate, load_chain, not_after_s, spiffe_id
from osm.pki.renewal import renew_at, retry_in

ANSWER_WITHIN_S = 10.0
"""certmgr gives a certificate authority elsewhere eight seconds, unless it is told otherwise."""

LEAST_PERIOD_S = 1.0
"""Between two certificates, however short they live: an issuer about to end must not be asked in a tight loop."""

LEAST_SHARE = 0.1
"""Of what a new certificate has left: to a clock that is ahead it seems old from the first moment, and so does the next
one."""

LONGEST_NAP_S = 60.0
"""A laptop that slept has missed its renewal by the wall clock only: look at it again this often."""

WARN_AT_FAILURE = 6
"""Some seconds of retries: a mesh that starts asks before certmgr answers, and that is nobody's concern."""

REFUSED_PAUSE_S = 300.0
"""A refusal that asking again will not change is asked again after this, in case certmgr's rules have changed; half of
it is jitter either way, since all may have been refused at once."""

Wait = Callable[[asyncio.Event, float], Awaitable[None]]

log = structlog.get_logger()


class Held:
    """A private key and the chain for it. Not a struct: its repr shows no key, and it cannot be encoded."""

    __slots__ = ("chain", "key")

    def __init__(self, key: PrivateKey, chain: Chain) -> None:
        self.key = key
        self.chain = chain

    def key_pem(self) -> str:
        """The private key in PEM, for Envoy's secret, a TLS context or a file of mode 0600; never for a log."""
        return key_pem(self.key).decode()

    def __repr__(self) -> str:
        return f"Held(issuer={self.chain.issuer}, not_after_s={self.chain.not_after_s})"


class Holder:
    """One certificate and its renewal. `run` in a task group; `obtain` or `changes` wherever it is needed.

    `why` says what stands in the way while there is none. `held` is a certificate from before, which is good until its
    renewal is due. `clock`, `jitter` and `wait` are parameters for tests.
    """

    def __init__(
        self,
        bus: Bus,
        subject: MeshLeaf | ProxyClient | ControlPlane,
        *,
        trust_domain: str,
        lifetime_s: int | None = None,
        held: Held | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        wait: Wait | None = None,
    ) -> None:
        self.subject = subject
        self.why = "certmgr has not answered yet"
        self._bus = bus
        self._trust_domain = trust_domain
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._jitter = jitter
        self._wait = wait or _wait
        self._held = held
        self._asked = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def current(self) -> Held | None:
        """The newest certificate; None before the first and once it has expired."""
        held = self._held
        return held if held is not None and self._clock() < held.chain.not_after_s else None

    @property
    def held(self) -> Held | None:
        """The newest certificate, though it have expired; None before the first."""
        return self._held

    async def obtain(self) -> Held:
        """The current certificate, waiting for the first (or for a new one, if it has expired)."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.current is not None)
        held = self._held
        assert held is not None
        return held

    async def changes(self) -> AsyncIterator[Held]:
        """The current certificate and then each newer one; one that was missed is skipped."""
        last: Held | None = None
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.current is not None and self.current is not last)  # noqa: B023  # awaited before `last` changes
            last = self._held
            assert last is not None
            yield last

    def renew(self, lifetime_s: int | None = None) -> None:
        """Ask for a new one now: the issuer changed, or the lifetime wanted did (kept if None)."""
        self._lifetime_s = lifetime_s if lifetime_s is not None else self._lifetime_s
        self._asked.set()

    async def run(self) -> NoReturn:
        """Endless: obtain, wait until renewal is due or asked for, obtain again."""
        held = self.current
        due_s = self._clock() if held is None else self._due_s(held.chain)
        while True:
            while (left_s := due_s - self._clock()) > 0 and not self._asked.is_set():
                await self._wait(self._asked, min(left_s, LONGEST_NAP_S))
            chain = await self._renewed()
            now_s = self._clock()
            least_s = max(LEAST_PERIOD_S, (chain.not_after_s - now_s) * LEAST_SHARE)
            due_s = max(self._due_s(chain), now_s + least_s)

    def _due_s(self, chain: Chain) -> float:
        return renew_at(chain.not_before_s, chain.not_after_s, self._jitter())

    async def _renewed(self) -> Chain:
        """Ask until there is a chain; the old one stays in use meanwhile."""
        failures = 0
        while True:
            self._asked.clear()
            held = await self._once()
            if isinstance(held, Held):
                self._held, self.why = held, ""
                async with self._changed:
                    self._changed.notify_all()
                return held.chain
            failures += 1
            if failures == WARN_AT_FAILURE or not held.retry:
                log.warning("no certificate yet", subject=str(self.subject.identity), why=held.why, retry=held.retry)
            self.why = held.why
            await self._wait(self._asked, self._pause_s(failures, held))

    async def _once(self) -> Held | Refused:
        return await certify(
            self._bus,
            self.subject,
            trust_domain=self._trust_domain,
            lifetime_s=self._lifetime_s,
            clock=self._clock,
        )

    def _pause_s(self, failures: int, refused: Refused) -> float:
        if refused.retry:
            return retry_in(failures, self._jitter(), self._left_s())
        return REFUSED_PAUSE_S * (0.5 + self._jitter())

    def _left_s(self) -> float | None:
        held = self.current
        return None if held is None else held.chain.not_after_s - self._clock()


async def certify(
    bus: Bus,
    subject: MeshLeaf | ProxyClient | ControlPlane | Gateway,
    *,
    trust_domain: str,
    lifetime_s: int | None = None,
    clock: Callable[[], float] = time.time,
) -> Held | Refused:
    """One key, one question. A bus that is away and an answer that makes no sense are refusals to retry."""
    key = make_key()
    csr_pem = request(key, profile_of(subject, trust_domain))
    asked = SignRequest(csr_pem=csr_pem, subject=subject, lifetime_s=lifetime_s)
    try:
        outcome = (await bus.ask(SIGN, asked, timeout_s=ANSWER_WITHIN_S)).outcome
    except (BusError, Undecodable) as error:
        outcome = Refused(why=str(error), retry=True)
    if isinstance(outcome, Refused):
        return outcome
    why = _objection(outcome, key, subject, clock())
    return Refused(why=why, retry=True) if why else Held(key, outcome)


def _objection(
    chain: Chain, key: PrivateKey, subject: MeshLeaf | ProxyClient | ControlPlane | Gateway, now_s: float
) -> str:
    """Why the chain is of no use to us, though certmgr gave it; empty if it is."""
    try:
        leaf = load_chain(chain.chain_pem)[0]
    except BadCertificate as error:
        return f"the answer is {error}"
    if leaf.public_key() != key.public_key():
        return "the chain is for another key"
    named, meant = spiffe_id(leaf), _named(subject)
    found = (named.identity, named.proxy_id) if named else None
    if found != meant:
        return f"the chain is for {_spelt(found)}, asked for was {_spelt(meant)}"
    if now_s >= min(chain.not_after_s, not_after_s(leaf)):
        late_s = now_s - min(chain.not_after_s, not_after_s(leaf))
        return f"the chain is new and has ended {late_s:.0f} s ago by this machine's clock; set the clock right"
    return ""


def _named(subject: MeshLeaf | ProxyClient | ControlPlane | Gateway) -> tuple[Identity, str | None] | None:
    if isinstance(subject, Gateway):
        return None
    return subject.identity, subject.proxy_id if isinstance(subject, ProxyClient) else None


def _spelt(named: tuple[Identity, str | None] | None) -> str:
    if named is None:
        return "nobody of a mesh"
    identity, proxy_id = named
    return f"proxy {proxy_id} of {identity}" if proxy_id else str(identity)


async def _wait(event: asyncio.Event, most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await event.wait()
