"""Which issuer signs, and which record it has: the settings' choice, carried out.

The only place that knows them all.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from osm.k8s.client import Cluster, connected
from osm.pki.renewal import retry_in
from services.certmgr import cert_manager, cluster, external, folder, vault
from services.certmgr.elsewhere import Authority, Elsewhere
from services.certmgr.issuer import Issuer, IssuerEnded, IssuerUnavailable
from services.certmgr.ledger import Ledger
from services.certmgr.settings import Settings
from services.certmgr.tresor import BadRoot
from services.certmgr.verified import WrongAnswer, root_of

Waiting = Callable[[str], None]


@asynccontextmanager
async def opened(settings: Settings, waiting: Waiting) -> AsyncIterator[tuple[Issuer, Ledger]]:
    """The issuer and the record of what it has granted. A root of our own is made now if there is none; an authority
    elsewhere is waited for until it says its root, and `waiting` is told why.

    Raises BadRoot, BadLedger; in a cluster NoCluster and ApiError too.
    """
    async with _cluster(settings) as api:
        ledger = await _ledger(settings, api)
        if settings.provider == "tresor":
            yield await _tresor(settings, api), ledger
        else:
            async with _elsewhere(settings, api) as authority:
                yield await _issuer(settings, authority, waiting), ledger


@asynccontextmanager
async def _cluster(settings: Settings) -> AsyncIterator[Cluster | None]:
    if settings.store == "kubernetes" or settings.provider == "cert-manager":
        async with connected() as api:
            yield api
    else:
        yield None


async def _ledger(settings: Settings, api: Cluster | None) -> Ledger:
    if settings.store == "kubernetes" and api is not None:
        return await cluster.open_ledger(api, settings.namespace)
    return await asyncio.to_thread(lambda: folder.open_ledger(_folder(settings)))


async def _tresor(settings: Settings, api: Cluster | None) -> Issuer:
    if settings.store == "kubernetes" and api is not None:
        return await cluster.open_tresor(
            api,
            settings.namespace,
            settings.ca_secret,
            trust_domain=settings.trust_domain,
            lifetime_s=settings.root_lifetime_s,
            now_s=time.time(),
        )
    return await asyncio.to_thread(_tresor_in_folder, settings)


def _tresor_in_folder(settings: Settings) -> Issuer:
    return folder.open_tresor(
        _folder(settings),
        trust_domain=settings.trust_domain,
        lifetime_s=settings.root_lifetime_s,
        now_s=time.time(),
    )


def _folder(settings: Settings) -> Path:
    return Path(settings.ca_folder).expanduser()


def _elsewhere(settings: Settings, api: Cluster | None) -> AbstractAsyncContextManager[Authority]:
    match settings.provider:
        case "external":
            return external.opened(_plugin(settings), settings.ca_timeout_s)
        case "vault":
            return vault.opened(_vault(settings), settings.ca_timeout_s)
        case _:
            assert api is not None  # `_cluster` connects for cert-manager
            return cert_manager.opened(
                api,
                settings.namespace,
                _issuer_ref(settings),
                trust_domain=settings.trust_domain,
                timeout_s=settings.ca_timeout_s,
            )


def _plugin(settings: Settings) -> external.Dial:
    return external.Dial(
        address=settings.external_address,
        trust_domain=settings.trust_domain,
        ca_file=settings.external_ca_file,
        certificate_file=settings.external_certificate_file,
        key_file=settings.external_key_file,
        server_name=settings.external_server_name,
    )


def _vault(settings: Settings) -> vault.Dial:
    return vault.Dial(
        address=settings.vault_address.rstrip("/"),
        mount=settings.vault_mount.strip("/"),
        role=settings.vault_role,
        proxy_role=settings.vault_proxy_role or settings.vault_role,
        token_file=settings.vault_token_file,
        namespace=settings.vault_namespace,
        ca_file=settings.vault_ca_file,
    )


def _issuer_ref(settings: Settings) -> cert_manager.IssuerRef:
    return cert_manager.IssuerRef(
        name=settings.cert_manager_issuer, kind=settings.cert_manager_kind, group=settings.cert_manager_group
    )


async def _issuer(settings: Settings, authority: Authority, waiting: Waiting) -> Issuer:
    """Raises BadRoot for a root that cannot be one."""
    try:
        root = root_of(await _roots(settings, authority, waiting))
    except WrongAnswer as error:
        raise BadRoot(f"{settings.root_file or authority.place}: {error}") from error
    return Elsewhere(authority, root, concurrency=settings.ca_concurrency, timeout_s=settings.ca_timeout_s)


async def _roots(settings: Settings, authority: Authority, waiting: Waiting) -> str:
    """From the file, or else from the authority, which is asked until it answers."""
    if settings.root_file:
        try:
            return await asyncio.to_thread(Path(settings.root_file).read_text)
        except (OSError, UnicodeDecodeError) as error:
            raise BadRoot(f"OSM_CERTMGR_ROOT_FILE: {error}") from error
    attempt = 0
    while True:
        try:
            async with asyncio.timeout(settings.ca_timeout_s):
                return await authority.roots()
        except TimeoutError:
            why = f"{authority.place}: no answer within {settings.ca_timeout_s:g} s"
        except (IssuerUnavailable, IssuerEnded) as error:
            why = str(error)
        attempt += 1
        waiting(f"the root of {why}")
        await asyncio.sleep(retry_in(attempt, random.random()))  # noqa: S311  # jitter
