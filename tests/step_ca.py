"""step-ca (smallstep), a real certificate authority, and the plug-in before it: what an operator would write.

The authority has an intermediate whose key it alone holds; the plug-in asks it over HTTPS with a one-time token, as
`step ca sign` does. The template of its provisioner makes what the token orders and nothing else.
"""

import base64
import json
import secrets
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grpc import aio

from osm.envoy.end_with_parent import tied_to_parent
from osm.testing.free_ports import free_port
from tests.other_ca import OtherCa, pem
from tests.plugin_server import Sign, plugin

PROVISIONER = "mesh"
READY_WITHIN_S = 60.0

TEMPLATE = """{
  "subject": {},
  "sans": {{ toJson .SANs }},
  "keyUsage": ["digitalSignature"],
  "extKeyUsage": {{ toJson .Insecure.User.uses }}
}"""
"""Names come from the token, which the plug-in signs; uses from the request beside it."""


class StepCa:
    """A running step-ca."""

    def __init__(self, ca: OtherCa, url: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.ca = ca
        self.url = url
        self._key = key
        self.tls = ssl.create_default_context(cadata=ca.root_pem)

    async def sign(self, http: aiohttp.ClientSession, request: Any) -> str:
        """Raises aiohttp.ClientError."""
        subject = request.subject
        sans = [*filter(None, (subject.uri,)), *subject.dns_names]
        uses = [use for use, wanted in (("clientAuth", subject.client), ("serverAuth", subject.server)) if wanted]
        body = {
            "csr": request.csr_pem,
            "ott": self._token(sans[0], sans),
            "notAfter": f"{request.lifetime_s}s",
            "templateData": {"uses": uses},
        }
        async with http.post(f"{self.url}/1.0/sign", json=body, ssl=self.tls) as answer:
            said = await answer.json()
            if answer.status != 201:
                raise aiohttp.ClientError(f"step-ca: {answer.status} {said}")
        return "".join(said["certChain"])

    def _token(self, subject: str, sans: list[str]) -> str:
        now_s = int(time.time())
        claims = {
            "iss": PROVISIONER,
            "aud": f"{self.url}/1.0/sign",
            "sub": subject,
            "sans": sans,
            "nbf": now_s - 10,
            "iat": now_s,
            "exp": now_s + 60,
            "jti": secrets.token_hex(16),
        }
        head = {"alg": "ES256", "typ": "JWT", "kid": PROVISIONER}
        signed = f"{_base64(json.dumps(head).encode())}.{_base64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@contextmanager
def step_ca(program: Path, folder: Path) -> Iterator[StepCa]:
    """One with keys of its own on a loopback port. Blocking until it listens."""
    ca, key, port = OtherCa("step"), ec.generate_private_key(ec.SECP256R1()), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.crt").write_text(ca.root_pem)
    (folder / "intermediate.crt").write_text(pem(ca.intermediate))
    (folder / "intermediate.key").touch(0o600)
    (folder / "intermediate.key").write_bytes(
        ca.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / "ca.json").write_text(json.dumps(_configuration(folder, port, key)))
    with (folder / "log").open("w") as log:
        command = tied_to_parent(str(program), str(folder / "ca.json"))
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"STEPPATH": str(folder)})
    try:
        _wait_for(folder, process)
        yield StepCa(ca, f"https://127.0.0.1:{port}", key)
    finally:
        process.kill()
        process.wait()


def _configuration(folder: Path, port: int, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "alg": "ES256",
        "use": "sig",
        "kid": PROVISIONER,
        "x": _base64(numbers.x.to_bytes(32, "big")),
        "y": _base64(numbers.y.to_bytes(32, "big")),
    }
    return {
        "root": str(folder / "root.crt"),
        "crt": str(folder / "intermediate.crt"),
        "key": str(folder / "intermediate.key"),
        "address": f"127.0.0.1:{port}",
        "dnsNames": ["127.0.0.1"],
        "logger": {"format": "text"},
        "authority": {
            "provisioners": [
                {
                    "type": "JWK",
                    "name": PROVISIONER,
                    "key": jwk,
                    "claims": {"minTLSCertDuration": "1s", "maxTLSCertDuration": "48h"},
                    "options": {"x509": {"template": TEMPLATE}},
                }
            ]
        },
    }


def _wait_for(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while "Serving HTTPS" not in (said := (folder / "log").read_text()):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@asynccontextmanager
async def step_plugin(authority: StepCa, address: str) -> AsyncIterator[int]:
    """The plug-in: what certmgr orders is asked of step-ca; step-ca's no is a status."""
    async with aiohttp.ClientSession() as http:
        yield_to = _signing(authority, http)
        async with plugin(address, authority.ca, sign=yield_to) as port:
            yield port


def _signing(authority: StepCa, http: aiohttp.ClientSession) -> Sign:
    async def sign(request: Any, context: aio.ServicerContext) -> str:
        try:
            return await authority.sign(http, request)
        except aiohttp.ClientError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise AssertionError("unreachable: abort raises") from error

    return sign
