"""The built-in issuer: one root, made once, never outlived by what it signs.

Where the root is kept is another's matter (`folder`, `cluster`): here it is made, read back and signs. It is never
replaced: losing it means a new mesh.
"""

import secrets
from datetime import UTC, datetime

from osm.contracts.trust import Chain
from osm.pki import issuing
from osm.pki.keys import BadKey, PrivateKey, SigningKey, load_signing_key, make_key
from osm.pki.reading import BadCertificate, Certificate, chain_pem, key_id, load_chain, not_after_s, not_before_s
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded


class BadRoot(Exception):
    """The root cannot be read, made or used; the message names its place and what to do."""


class Tresor:
    """An issuer with its key in memory. Made by `read_root`."""

    def __init__(self, root: Certificate, key: SigningKey, place: str) -> None:
        self.key_id = key_id(root)
        self.root_pem = chain_pem([root])
        self.not_after_s = not_after_s(root)
        self._root = root
        self._key = key
        self._place = place

    def expiry_s(self, order: Order, now_s: float) -> int:
        try:
            return issuing.expiry_s(self._root, now_s=now_s, lifetime_s=order.lifetime_s)
        except issuing.IssuerExpired as error:
            ended = datetime.fromtimestamp(self.not_after_s, UTC)
            advice = f"after {ended:%Y-%m-%d} move {self._place} away and restart to make a new root"
            raise IssuerEnded(f"{error}; check the clock; {advice}") from error

    async def sign(self, order: Order, now_s: float) -> Chain:
        """A fraction of a millisecond (RSA: a few), so on the event loop."""
        self.expiry_s(order, now_s)
        certificate = issuing.sign(
            order.profile,
            issuing.signable(order.csr),
            issuer=self._root,
            issuer_key=self._key,
            now_s=now_s,
            lifetime_s=order.lifetime_s,
            serial=make_serial(),
        )
        return Chain(
            chain_pem=chain_pem([certificate]),
            issuer=self.key_id,
            not_before_s=not_before_s(certificate),
            not_after_s=not_after_s(certificate),
        )


def new_root(*, trust_domain: str, lifetime_s: int, now_s: float) -> tuple[PrivateKey, Certificate]:
    """A key and its self-signed root."""
    key = make_key()
    serial = make_serial()
    return key, issuing.make_root(key, trust_domain=trust_domain, now_s=now_s, lifetime_s=lifetime_s, serial=serial)


def read_root(*, key: bytes, certificate: bytes, trust_domain: str, place: str) -> Tresor:
    """A root from its two texts, PEM, made here or elsewhere. Raises BadRoot, which names `place`."""
    try:
        loaded, root = load_signing_key(key), load_chain(certificate)[0]
        issuing.require_fit(root, loaded)
    except (BadKey, BadCertificate) as error:
        raise BadRoot(f"{place}: {error}; allowed is a private key and its root certificate, PEM") from error
    except issuing.UnfitRoot as error:
        raise BadRoot(f"{place}: {error}") from error
    found = issuing.trust_domain_of(root)
    if found is not None and found != trust_domain:
        raise BadRoot(
            f"{place}: the root is of trust domain {found!r}, and OSM_TRUST_DOMAIN is {trust_domain!r}; "
            "another trust domain needs another root in another place"
        )
    return Tresor(root, loaded, place)


def make_serial() -> int:
    """128 random bits, the top one set, so that every serial is positive and of one length."""
    return secrets.randbits(issuing.SERIAL_BITS - 1) | 1 << (issuing.SERIAL_BITS - 1)
