"""An issuer that is not ours: asks a certificate authority, a bounded number of times at once and for a bounded time,
and hands on only what has been verified.

Apart from the authorities (`external`, `vault`, `cert_manager`), which are all asked in this way. It does not ask
again: who wanted the certificate does, less and less often (`osm.pki.holder`).
"""

import asyncio
from typing import Protocol

from osm.contracts.trust import Chain
from osm.pki.issuing import IssuerExpired, expiry_s
from osm.pki.reading import Certificate, chain_pem, key_id, not_after_s
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded, IssuerUnavailable
from services.certmgr.verified import CLOCKS_DIFFER_S, verified


class Authority(Protocol):
    """A certificate authority elsewhere. It may answer anything: nobody believes it unverified."""

    @property
    def place(self) -> str:
        """What and where it is, as sentences begin with it."""

    async def roots(self) -> str:
        """Its root, and intermediates if it likes, PEM. Raises IssuerUnavailable, IssuerEnded."""

    async def sign(self, order: Order) -> str:
        """A chain, leaf first, PEM. Raises IssuerUnavailable, IssuerEnded."""


class Elsewhere:
    """The issuer before an authority, whose root is known. `timeout_s` includes the time until there is room."""

    def __init__(self, authority: Authority, root: Certificate, *, concurrency: int, timeout_s: float) -> None:
        self.key_id = key_id(root)
        self.root_pem = chain_pem([root])
        self.not_after_s = not_after_s(root)
        self._authority = authority
        self._root = root
        self._room = asyncio.Semaphore(concurrency)
        self._timeout_s = timeout_s

    def expiry_s(self, order: Order, now_s: float) -> int:
        """Later than ordered by what clocks may differ, so that what is recorded covers what may come back."""
        try:
            return expiry_s(self._root, now_s=now_s, lifetime_s=order.lifetime_s + CLOCKS_DIFFER_S)
        except IssuerExpired as error:
            raise IssuerEnded(f"{self._authority.place}: {error}; check the clock, or its root") from error

    async def sign(self, order: Order, now_s: float) -> Chain:
        """Raises WrongAnswer too."""
        latest_s = self.expiry_s(order, now_s)
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                answer = await self._authority.sign(order)
        except TimeoutError as error:
            raise IssuerUnavailable(f"{self._authority.place}: no answer within {self._timeout_s:g} s") from error
        return verified(answer, order, self._root, now_s=now_s, latest_s=latest_s)
