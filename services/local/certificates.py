"""A proxy's certificate towards xds, in the two files that its Envoy reads: asked for, renewed, taken over.

Each file is replaced whole, so key and chain are always one another's. Keys are made here and stay here: mode 0600,
gone with the workload. An agent that finds the files of one before it goes on with that certificate.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from osm.bus import Bus
from osm.contracts.names import SpiffeId
from osm.contracts.trust import Chain, ProxyClient
from osm.envoy.bootstrap import certificate_sds, roots_sds, text
from osm.pki.files import LooseMode, read_secret, write_secret
from osm.pki.holder import Held, Holder
from osm.pki.keys import BadKey, load_key
from osm.pki.reading import BadCertificate, issuer_key_id, load_chain, not_after_s, not_before_s, spiffe_id
from services.local.roots import Roots


class Certificates:
    """The certificate files of one proxy, in `folder`. `written` is set while both are there."""

    def __init__(
        self, bus: Bus, subject: ProxyClient, roots: Roots, folder: Path, *, trust_domain: str, lifetime_s: int | None
    ) -> None:
        self.certificate = folder / "certificate.json"
        self.roots = folder / "roots.json"
        self.written = asyncio.Event()
        self._bus = bus
        self._subject = subject
        self._named = SpiffeId(trust_domain, subject.identity, subject.proxy_id)
        self._newest = roots
        self._lifetime_s = lifetime_s

    async def run(self) -> None:
        """Keep both fresh; endless. Raises OSError."""
        held = read_held(self.certificate, self._named)
        holder = Holder(
            self._bus,
            self._subject,
            trust_domain=self._named.trust_domain,
            lifetime_s=self._lifetime_s,
            held=held,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(holder.run())
            tasks.create_task(self._renewed(holder))
            tasks.create_task(self._re_rooted())

    async def _renewed(self, holder: Holder) -> None:
        async for held in holder.changes():
            self._write(self.certificate, text(certificate_sds(key_pem=held.key_pem(), chain_pem=held.chain.chain_pem)))

    async def _re_rooted(self) -> None:
        async for pem in self._newest.changes():
            self._write(self.roots, text(roots_sds(pem)))

    def _write(self, path: Path, body: str) -> None:
        """Equal bytes are not written again: an Envoy would open its connections anew."""
        if not path.exists() or path.read_text() != body:
            write_secret(path, body.encode())
        if self.certificate.exists() and self.roots.exists():
            self.written.set()

    def remove(self) -> None:
        """No key is left behind."""
        for path in (self.certificate, self.roots):
            path.unlink(missing_ok=True)


def read_held(path: Path, named: SpiffeId) -> Held | None:
    """Key and chain from a certificate's file; None unless they are there, whole, one another's and `named` so."""
    try:
        secret: Any = json.loads(read_secret(path))["resources"][0]["tls_certificate"]
        key = load_key(secret["private_key"]["inline_string"].encode())
        chain_pem = secret["certificate_chain"]["inline_string"]
        chain = load_chain(chain_pem)
    except (OSError, LooseMode, ValueError, LookupError, TypeError, BadKey, BadCertificate):
        return None
    if chain[0].public_key() != key.public_key() or spiffe_id(chain[0]) != named:
        return None
    found = Chain(
        chain_pem=chain_pem,
        issuer=issuer_key_id(chain[-1]) or "",
        not_before_s=not_before_s(chain[0]),
        not_after_s=not_after_s(chain[0]),
    )
    return Held(key, found)
