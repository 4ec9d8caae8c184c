"""Evidence for the check: counters and answers of sidecars and apps, and a certificate that must be refused.

Apart from the steps, which say what must hold; here is only how it is seen, from outside of the mesh.
"""

import random
import re
import time
from pathlib import Path

import msgspec

from osm.cli.demo.direct_request import Credential
from osm.cli.demo.shop import STORES
from osm.cli.demo.stage import Stage
from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf
from osm.pki.issuing import make_root, profile_of, sign
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem

BUYER_IDENTITY = Identity("bookbuyer", "bookbuyer")


async def denied(stage: Stage, workload: str) -> int:
    text = await stage.shop.stats(workload, r"^http\.inbound\..*rbac.*denied$")
    return sum(int(count) for count in re.findall(r"(?m)^http\.inbound.*: (\d+)$", text))


async def reached(stage: Stage, workload: str) -> int:
    """Requests of no shopper that the app itself has seen: the check's own, which carry no client-app header."""
    by_client = (await stage.shop.raw(workload))["requests_by_client"]
    return sum(count for client, count in by_client.items() if client not in ("bookbuyer", "bookthief"))


async def arrived(stage: Stage) -> int:
    """Requests that the stores' sidecars have taken in. Their inbound listeners take nothing but mutual TLS."""
    pages = [await stage.shop.stats(store, r"^http\.inbound\..*downstream_rq_total$") for store in STORES]
    return sum(int(count) for page in pages for count in re.findall(r"(?m): (\d+)$", page))


async def leaf_serials(stage: Stage, workload: str) -> set[str]:
    """Serial numbers of the workload's leaves that its Envoy serves now."""
    return _serials(await stage.shop.admin(workload, "certs"), r"/proxy/", wanted=False)


async def client_certificate(stage: Stage, workload: str) -> set[str]:
    return _serials(await stage.shop.admin(workload, "certs"), r"/proxy/", wanted=True)


def _serials(certs: str, mark: str, *, wanted: bool) -> set[str]:
    """Of Envoy's /certs page: the serials of leaf certificates whose SPIFFE URI has the mark, or has it not."""
    found = set()
    for certificate in msgspec.json.decode(certs).get("certificates", ()):
        for chain in certificate.get("cert_chain", ()):
            uris = [name.get("uri", "") for name in chain.get("subject_alt_names", ())]
            if any("/sa/" in uri for uri in uris) and any(re.search(mark, uri) for uri in uris) == wanted:
                found.add(chain["serial_number"])
    return found


def knows_a_proxy(pid: int | None) -> bool:
    variables = Path(f"/proc/{pid}/environ").read_bytes().lower().split(b"\0") if pid is not None else []
    return any(variable.partition(b"=")[0].endswith(b"_proxy") for variable in variables)


def forged() -> Credential:
    """The bookbuyer's certificate, as the CA of another mesh of the same name would make it."""
    now_s, root_key, key = time.time(), make_key(), make_key()
    serial, life_s = random.getrandbits(100), 3600
    root = make_root(root_key, trust_domain="cluster.local", now_s=now_s, lifetime_s=life_s, serial=serial)
    profile = profile_of(MeshLeaf(identity=BUYER_IDENTITY), "cluster.local")
    leaf = sign(
        profile, key.public_key(), issuer=root, issuer_key=root_key, now_s=now_s, lifetime_s=life_s, serial=serial + 1
    )
    return Credential(chain_pem=chain_pem([leaf]).encode(), key_pem=key_pem(key))
