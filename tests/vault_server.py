"""The part of Vault's HTTP API that certmgr uses, played by this test: paths, bodies and errors as Vault 1.21 documents
and answers them. It is not Vault: what a real one makes of a role is not proven here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.other_ca import OtherCa, pem

TOKEN = "hvs.real"


class VaultServer:
    """One PKI mount with a role `mesh` (client and server) and a role `proxies` (client alone)."""

    def __init__(self, ca: OtherCa) -> None:
        self.ca = ca
        self.asked: list[tuple[str, str, dict]] = []
        self.headers: dict[str, str] = {}
        self.renewable = True
        self.ttl_s = 3600
        self.renewals = 0
        self.sealed = False
        self.chain_known = True
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/v1/")
        body = await request.json() if request.can_read_body else {}
        self.asked.append((request.method, path, body))
        self.headers = dict(request.headers)
        if self.sealed:
            return errors(503, "Vault is sealed")
        if request.headers.get("X-Vault-Token") != TOKEN:
            return errors(403, "permission denied")
        if path.startswith("pki/sign/"):
            return self.sign(path.removeprefix("pki/sign/"), body)
        return self.read(request.method, path)

    def read(self, method: str, path: str) -> web.Response:
        certificates = {"content_type": "application/pem-certificate-chain"}
        match method, path:
            case "GET", "pki/ca_chain":
                text = pem(self.ca.intermediate, self.ca.root) if self.chain_known else ""
                return web.Response(text=text, **certificates)
            case "GET", "pki/ca/pem":
                return web.Response(text=self.ca.root_pem, **certificates)
            case "GET", "auth/token/lookup-self":
                return web.json_response({"data": {"renewable": self.renewable, "ttl": self.ttl_s}})
            case "POST", "auth/token/renew-self":
                self.renewals += 1
                return web.json_response({"auth": {"lease_duration": self.ttl_s, "renewable": True}})
        return errors(404, f"no handler for route {path}")

    def sign(self, role: str, body: dict) -> web.Response:
        if role not in {"mesh", "proxies"}:
            return errors(400, f"unknown role: {role}")
        chain = self.ca.sign(
            body["csr"],
            body["uri_sans"],
            tuple(filter(None, body["alt_names"].split(","))),
            server=role == "mesh",
            lifetime_s=int(body["ttl"].removesuffix("s")),
        )
        end = chain.index("-----END CERTIFICATE-----\n") + len("-----END CERTIFICATE-----\n")
        data = {
            "certificate": chain[:end].strip(),
            "issuing_ca": pem(self.ca.intermediate).strip(),
            "ca_chain": [pem(self.ca.intermediate).strip(), self.ca.root_pem.strip()],
            "serial_number": "39:dd:2e",
            "expiration": 1_900_000_000,
        }
        return web.Response(text=json.dumps({"lease_id": "", "data": data}), content_type="application/json")


def errors(status: int, *said: str) -> web.Response:
    return web.json_response({"errors": list(said)}, status=status)


@asynccontextmanager
async def vault_server(ca: OtherCa) -> AsyncIterator[VaultServer]:
    """On loopback, in plain text, as an agent on this machine would be."""
    server = VaultServer(ca)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
