"""The plug-in on the page of certificates is one: compiled, run as a program of its own, and asked by certmgr."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf
from osm.pki.issuing import profile_of, request
from osm.pki.keys import make_key, read_csr
from services.certmgr.decide import Order
from services.certmgr.external import Dial, opened
from services.certmgr.issuer import IssuerUnavailable
from services.certmgr.verified import root_of, verified

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/certificates.md").read_text()
COMPILE = re.search(r"`python -m (grpc_tools.protoc [^`]*)`", PAGE)
PROGRAM = re.search(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SOCKET = "/run/osm/ca/ca.sock"

MY_CA = """
import sys
sys.path.insert(0, {root!r})
from tests.other_ca import OtherCa

CA = OtherCa()
ROOT = CA.root_pem


async def sign(csr_pem, subject, lifetime_s):
    names = tuple(subject.dns_names)
    return CA.sign(csr_pem, subject.uri, names, client=subject.client, server=subject.server, lifetime_s=lifetime_s)
"""
"""What the reader is to bring."""


async def test_the_programs_of_the_page_serve_certmgr(tmp_path: Path) -> None:
    assert COMPILE is not None
    assert PROGRAM is not None
    compiling = COMPILE[1].replace("proto/osm", f"{ROOT}/proto/osm").split()
    subprocess.run([sys.executable, "-m", *compiling], check=True, cwd=tmp_path)
    (tmp_path / "my_ca.py").write_text(MY_CA.format(root=str(ROOT)))
    assert SOCKET in PROGRAM[1]
    (tmp_path / "plugin.py").write_text(PROGRAM[1].replace(SOCKET, str(tmp_path / "ca.sock")))
    process = subprocess.Popen([sys.executable, "plugin.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": "."})
    try:
        dial = Dial(address=f"unix:{tmp_path / 'ca.sock'}", trust_domain="cluster.local")
        async with asyncio.timeout(60), opened(dial, 8.0) as plugin:
            root = root_of(await _roots(plugin))
            profile = profile_of(MeshLeaf(identity=Identity("a", "b")), "cluster.local")
            csr = read_csr(request(make_key(), profile))
            order = Order(kind="leaf", csr=csr, profile=profile, lifetime_s=3600)
            now_s = root.not_valid_before_utc.timestamp() + 3600  # when it was made
            chain = verified(await plugin.sign(order), order, root, now_s=now_s, latest_s=int(now_s) + 3720)
    finally:
        process.kill()
        process.wait()
    assert chain.chain_pem.count("BEGIN CERTIFICATE") == 2


async def _roots(plugin) -> str:
    while True:
        try:
            return await plugin.roots()
        except IssuerUnavailable:
            await asyncio.sleep(0.05)
