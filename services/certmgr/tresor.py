"""The built-in issuer: one root in one file, made once, never outlived by what it signs.

`root.pem` holds key and certificate together, so that there is no moment with one and not the other. Of processes
that start at once, one creates it and all read it. It is never replaced: losing it means a new mesh.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from osm.contracts.trust import Chain
from osm.pki import issuing
from osm.pki.files import LooseMode, create_secret, private_folder, read_secret
from osm.pki.keys import BadKey, PrivateKey, key_pem, load_key, make_key
from osm.pki.reading import BadCertificate, Certificate, chain_pem, key_id, load_chain, not_after_s, not_before_s
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded

ROOT_FILE = "root.pem"


class BadRoot(Exception):
    """The root cannot be read, made or used; the message names the file and what to do."""


class Tresor:
    """An issuer with its key in memory. Made by `open_tresor`."""

    def __init__(self, root: Certificate, key: PrivateKey, path: Path) -> None:
        self.key_id = key_id(root)
        self.root_pem = chain_pem([root])
        self.not_after_s = not_after_s(root)
        self._root = root
        self._key = key
        self._path = path

    def expiry_s(self, order: Order, now_s: float) -> int:
        try:
            return issuing.expiry_s(self._root, now_s=now_s, lifetime_s=order.lifetime_s)
        except issuing.IssuerExpired as error:
            ended = datetime.fromtimestamp(self.not_after_s, UTC)
            advice = f"after {ended:%Y-%m-%d} move {self._path} away and restart to make a new root"
            raise IssuerEnded(f"{error}; check the clock; {advice}") from error

    async def sign(self, order: Order, now_s: float) -> Chain:
        """A fraction of a millisecond, so on the event loop."""
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


def open_tresor(folder: Path, *, trust_domain: str, lifetime_s: int, now_s: float) -> Tresor:
    """The root in `folder`, made now if there is none. Blocks on the disk. Raises BadRoot."""
    path = folder / ROOT_FILE
    try:
        private_folder(folder)
        if not path.exists():
            create_secret(path, _new_root(trust_domain, lifetime_s, now_s))
        tresor = _parse(read_secret(path), path)
    except (OSError, LooseMode) as error:
        raise BadRoot(f"OSM_CERTMGR_CA_FOLDER: the root cannot be used: {error}") from error
    _require_trust_domain(tresor, trust_domain, path)
    return tresor


def make_serial() -> int:
    """128 random bits, the top one set, so that every serial is positive and of one length."""
    return secrets.randbits(issuing.SERIAL_BITS - 1) | 1 << (issuing.SERIAL_BITS - 1)


def _new_root(trust_domain: str, lifetime_s: int, now_s: float) -> bytes:
    key = make_key()
    root = issuing.make_root(key, trust_domain=trust_domain, now_s=now_s, lifetime_s=lifetime_s, serial=make_serial())
    return key_pem(key) + chain_pem([root]).encode()


def _parse(body: bytes, path: Path) -> Tresor:
    try:
        key, root = load_key(body), load_chain(body)[0]
    except (BadKey, BadCertificate) as error:
        raise BadRoot(f"{path}: {error}; allowed is a private key and its root certificate, PEM") from error
    if root.public_key() != key.public_key():
        raise BadRoot(f"{path}: the key is not the one of the certificate")
    return Tresor(root, key, path)


def _require_trust_domain(tresor: Tresor, trust_domain: str, path: Path) -> None:
    found = issuing.trust_domain_of(load_chain(tresor.root_pem)[0])
    if found != trust_domain:
        raise BadRoot(
            f"{path}: the root is of trust domain {found!r}, and OSM_TRUST_DOMAIN is {trust_domain!r}; "
            "choose another OSM_CERTMGR_CA_FOLDER for another trust domain"
        )
