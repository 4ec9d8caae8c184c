"""What a kubeconfig's user shows the API server: a token, a certificate, or what a program says.

Apart from the reading, which is pure: here files are written for the TLS library, and programs are run.
"""

import asyncio
import base64
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from osm.k8s.errors import NoCluster
from osm.k8s.kubeconfig import Login, Program, Server, read

LOGIN_WITHIN_S = 120.0
"""A program may ask a person to open a browser."""


class _Granted(Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _ExecCredential(Struct, frozen=True):
    status: _Granted


class FromKubeconfig:
    """A user's way to a cluster; an `Access`."""

    def __init__(self, files: str, context: str) -> None:
        self._files = files
        self._context = context
        self._authorization = ""
        self.host = ""
        self.tls = ssl.create_default_context()
        self.server_name: str | None = None
        self.proxy: str | None = None

    @classmethod
    async def load(cls, files: str, context: str) -> "FromKubeconfig":
        """`files` as in $KUBECONFIG; those that are missing are passed over. Raises NoCluster."""
        self = cls(files, context)
        await self.renew()
        return self

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": self._authorization} if self._authorization else {}

    async def renew(self) -> None:
        """Raises NoCluster if the file, its context or its way to log in does not work."""
        try:
            login = read(_texts(self._files), self._context)
            if login.user.auth_provider is not None:
                await self._renew_with_library()
            else:
                await self._renew(login)
        except (OSError, ValueError) as error:  # of files and TLS
            raise NoCluster(f"kubeconfig {self._files}: {error}") from error

    async def _renew(self, login: Login) -> None:
        """Raises NoCluster, OSError, ValueError."""
        granted = await _run(login) if login.user.exec is not None else _Granted()
        server, user = login.server, login.user
        self.tls = tls(
            _pem(server.certificate_authority_data, server.certificate_authority, login.server_folder),
            granted.client_certificate_data
            or _pem(user.client_certificate_data, user.client_certificate, login.user_folder),
            granted.client_key_data or _pem(user.client_key_data, user.client_key, login.user_folder),
            verify=not server.insecure_skip_tls_verify,
        )
        self._authorization = _authorization(login, granted)
        self.host = server.server.rstrip("/")
        self.server_name = server.tls_server_name or None
        self.proxy = server.proxy_url or None

    async def _renew_with_library(self) -> None:
        """By an `auth-provider` (OIDC; kubectl knows no other any more), which costs a second and 80 MB to import."""
        from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  # see above
        from kubernetes_asyncio.config import ConfigException, load_kube_config  # noqa: PLC0415  # see above

        found = Configuration()
        try:
            await load_kube_config(self._files, self._context or None, found, persist_config=False)
        except (ConfigException, KeyError, TypeError, AssertionError) as error:
            raise NoCluster(f"kubeconfig {self._files}: {str(error) or type(error).__name__}") from error
        roots, chain, key = (
            _pem("", each or "", Path()) for each in (found.ssl_ca_cert, found.cert_file, found.key_file)
        )
        self.tls = tls(roots, chain, key, verify=found.verify_ssl)
        self.host = str(found.host)
        self.server_name = found.tls_server_name
        self.proxy = found.proxy
        self._authorization = found.api_key.get("BearerToken", "")


def tls(roots_pem: str, chain_pem: str, key_pem: str, *, verify: bool) -> ssl.SSLContext:
    """Trusts these roots alone, the system's if there are none. Raises OSError, ValueError."""
    found = ssl.create_default_context(cadata=roots_pem or None)
    found.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' own roots often lack the extensions it asks for
    if not verify:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    if chain_pem:
        with TemporaryDirectory(prefix="osm-") as folder:  # the library reads files only; mode 0700, gone at once
            pair = Path(folder) / "pair.pem"
            pair.write_text(f"{chain_pem.rstrip()}\n{key_pem}")
            found.load_cert_chain(pair)
    return found


def _texts(files: str) -> Mapping[Path, str]:
    paths = [Path(each).expanduser() for each in files.split(os.pathsep) if each]
    return {path: path.read_text() for path in paths if path.is_file()}


def _pem(data: str, file: str, folder: Path) -> str:
    """What stands in the kubeconfig itself goes before what it names. Raises OSError, ValueError."""
    if data:
        return base64.b64decode(data, validate=True).decode()
    return (folder / file).read_text() if file else ""


def _authorization(login: Login, granted: _Granted) -> str:
    user = login.user
    named = (login.user_folder / user.token_file).read_text().strip() if user.token_file else ""
    if token := granted.token or named or user.token:
        return f"Bearer {token}"
    if user.username:
        return f"Basic {base64.b64encode(f'{user.username}:{user.password}'.encode()).decode()}"
    return ""


async def _run(login: Login) -> _Granted:
    """What the user's program grants; its own words to the person go to stderr. Raises NoCluster."""
    program = login.user.exec
    assert program is not None, "only a user with a program has one run"
    command = str(login.user_folder / program.command) if "/" in program.command else program.command
    variables = {each.name: each.value for each in program.env or ()}
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            *(program.args or ()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **variables, "KUBERNETES_EXEC_INFO": _asked(program, login.server)},
        )
        try:
            async with asyncio.timeout(LOGIN_WITHIN_S):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    except (OSError, TimeoutError) as error:
        why = str(error) or f"no answer in {LOGIN_WITHIN_S:.0f} s"
        raise NoCluster(f"login program {program.command}: {why}. {program.install_hint}".strip(". ")) from error
    if process.returncode:
        raise NoCluster(f"login program {program.command} ended with code {process.returncode}")
    return _granted(program, said)


def _granted(program: Program, said: bytes) -> _Granted:
    """Raises NoCluster."""
    try:
        return msgspec.json.decode(said, type=_ExecCredential).status
    except msgspec.MsgspecError as error:
        raise NoCluster(f"login program {program.command}: its answer is no ExecCredential: {error}") from error


def _asked(program: Program, server: Server) -> str:
    """What the program is told (client.authentication.k8s.io, ExecCredential.spec)."""
    cluster = {
        "server": server.server,
        "certificate-authority-data": server.certificate_authority_data,
        "insecure-skip-tls-verify": server.insecure_skip_tls_verify,
        "tls-server-name": server.tls_server_name,
    }
    spec = {"interactive": False, **({"cluster": cluster} if program.provide_cluster_info else {})}
    return msgspec.json.encode({"apiVersion": program.api_version, "kind": "ExecCredential", "spec": spec}).decode()
