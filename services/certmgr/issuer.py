"""The interface of an issuer: what signs, the built-in root or a certificate authority elsewhere.

An issuer is given orders that have been decided (`decide`); it does not judge them.
"""

from typing import Protocol

from osm.contracts.trust import Chain
from services.certmgr.decide import Order


class IssuerUnavailable(Exception):
    """It cannot sign now and may later; the message says what is wrong with it."""


class IssuerEnded(Exception):
    """It will not sign this, or anything, as it is; the message says what to do."""


class Issuer(Protocol):
    """One root of trust that signs."""

    @property
    def key_id(self) -> str:
        """Its root's name, hex: `Chain.issuer`."""

    @property
    def root_pem(self) -> str:
        """Its root, public: what the mesh must trust before a chain of this issuer is of use."""

    @property
    def not_after_s(self) -> int:
        """When the root ends, seconds since the epoch."""

    def expiry_s(self, order: Order, now_s: float) -> int:
        """The latest end that a certificate for this order may have. Raises IssuerEnded."""

    async def sign(self, order: Order, now_s: float) -> Chain:
        """A chain that ends no later than `expiry_s` said. Raises IssuerUnavailable, IssuerEnded.

        One elsewhere also raises `verified.WrongAnswer`.
        """
