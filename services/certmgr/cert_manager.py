"""cert-manager as the authority: a CertificateRequest for each certificate, which is deleted once it is answered.

Kubernetes is spoken to by `osm.k8s`; here is what is asked there. One watch sees all of our requests; what was left
behind by a certmgr that ended in the middle is collected when it is old. What comes back is not judged: `elsewhere`
does that.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from osm.bus.background_tasks import background_tasks
from osm.contracts import labels
from osm.contracts.names import ROOT_NAMESPACE, Identity
from osm.contracts.trust import ControlPlane
from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Busy, Forbidden, NotFound, Unreachable
from osm.k8s.follow import follow
from osm.k8s.objects import Condition, ObjectMeta
from osm.k8s.resource import Resource
from osm.pki.issuing import profile_of, request
from osm.pki.keys import csr_pem, make_key, read_csr
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded, IssuerUnavailable

CERTIFICATE_REQUESTS = Resource(group="cert-manager.io", plural="certificaterequests", kind="CertificateRequest")

MARK = "openservicemesh.io/requested-by"
"""The label of our requests, all certmgrs'."""
MARKED = "osm-certmgr"

STALE = timedelta(minutes=10)
"""Longer than any request of ours is waited for."""

DELETE_WITHIN_S = 2.0
"""Whoever wants the certificate waits meanwhile."""

OWN_SHARE = 0.9
"""Of the timeout: who gives up a moment before the issuer does can say what cert-manager said last."""

TRIAL = Identity(ROOT_NAMESPACE, "osm-certmgr")
"""Ourselves: the root is found by asking for a certificate whose key is thrown away."""
TRIAL_LIFETIME_S = 3600


class IssuerRef(Struct, frozen=True, kw_only=True):
    """cert-manager's own Issuer or ClusterIssuer, or that of another program that signs for it."""

    name: str
    kind: str = "Issuer"
    group: str = "cert-manager.io"


class _Status(Struct, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    certificate: bytes = b""
    ca: bytes = b""


class CertificateRequest(Struct, frozen=True, kw_only=True):
    """The fields that we read."""

    metadata: ObjectMeta = ObjectMeta()
    status: _Status = _Status()


class _Answer:
    """What a request waits for; `said` is what it has heard meanwhile."""

    def __init__(self) -> None:
        self.status: asyncio.Future[_Status] = asyncio.get_running_loop().create_future()
        self.said = "nothing was said of it; does cert-manager run?"


class CertManager:
    """The requests of one certmgr in its namespace; open it with `opened`."""

    def __init__(
        self, cluster: Cluster, namespace: str, issuer: IssuerRef, *, trust_domain: str, timeout_s: float
    ) -> None:
        self.place = f"cert-manager ({issuer.kind} {issuer.name})"
        self._cluster = cluster
        self._namespace = namespace
        self._issuer = issuer
        self._trust_domain = trust_domain
        self._timeout_s = timeout_s * OWN_SHARE
        self._answers: dict[str, _Answer] = {}

    async def roots(self) -> str:
        """What the answer to a request of our own gives as the CA, or what its chain ends with."""
        profile = profile_of(ControlPlane(identity=TRIAL), self._trust_domain)
        csr = read_csr(request(make_key(), profile))
        order = Order(kind="control", csr=csr, profile=profile, lifetime_s=TRIAL_LIFETIME_S)
        status = await self._asked(order)
        return (status.ca or status.certificate).decode(errors="replace")

    async def sign(self, order: Order) -> str:
        return (await self._asked(order)).certificate.decode(errors="replace")

    async def follow(self) -> None:
        """Endless: hand each answer to who waits for it, and collect what nobody waits for any more."""
        selector = f"{MARK}={MARKED}"
        pictures = follow(
            self._cluster, CERTIFICATE_REQUESTS, as_=CertificateRequest, namespace=self._namespace, labels=selector
        )
        async with aclosing(pictures):
            async for picture in pictures:
                for (_, name), found in picture.objects.items():
                    if name in self._answers:
                        self._hear(self._answers[name], name, found)
                    elif found is not None and is_stale(found, datetime.now(UTC)):
                        await self._delete(name)

    def _hear(self, answer: _Answer, name: str, found: CertificateRequest | None) -> None:
        if answer.status.done():
            return
        if found is None:
            why = f"{self.place}: somebody deleted CertificateRequest {self._namespace}/{name}"
            answer.status.set_exception(IssuerUnavailable(why))
        elif found.status.certificate:
            answer.status.set_result(found.status)
        elif (error := refusal(found)) is not None:
            answer.status.set_exception(error)
        else:
            answer.said = words(found) or answer.said

    async def _asked(self, order: Order) -> _Status:
        """Raises IssuerUnavailable, IssuerEnded."""
        name = f"osm-{order.kind}-{secrets.token_hex(8)}"
        answer = self._answers[name] = _Answer()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._cluster.create(CERTIFICATE_REQUESTS, body(name, order, self._issuer), self._namespace)
                return await answer.status
        except TimeoutError as error:
            why = f"{self.place}: no certificate within {self._timeout_s:g} s: {answer.said}"
            raise IssuerUnavailable(why) from error
        except NotFound as error:
            raise IssuerUnavailable(f"{self.place}: {error}; is cert-manager installed?") from error
        except (Busy, Unreachable, Forbidden) as error:
            raise IssuerUnavailable(f"{self.place}: {error}") from error
        except ApiError as error:
            raise IssuerEnded(f"{self.place}: {error}") from error
        finally:
            del self._answers[name]
            await self._delete(name)

    async def _delete(self, name: str) -> None:
        """What cannot be deleted now is collected later."""
        with suppress(ApiError, TimeoutError):
            async with asyncio.timeout(DELETE_WITHIN_S):
                await self._cluster.delete(CERTIFICATE_REQUESTS, name, self._namespace)


def body(name: str, order: Order, issuer: IssuerRef) -> Mapping[str, Any]:
    """The object that asks for a certificate. cert-manager takes the names from the request."""
    profile = order.profile
    uses = (("client auth", profile.client), ("server auth", profile.server))
    return {
        "metadata": {"name": name, "labels": {labels.APP_NAME: labels.OSM, MARK: MARKED}},
        "spec": {
            "request": base64.b64encode(csr_pem(order.csr).encode()).decode(),
            "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
            "duration": f"{order.lifetime_s}s",
            "isCA": False,
            "usages": ["digital signature", *(use for use, wanted in uses if wanted)],
        },
    }


def refusal(found: CertificateRequest) -> IssuerUnavailable | IssuerEnded | None:
    """Why there will be no certificate; None if there may be. What failed may succeed when it is asked for again."""
    for condition in found.status.conditions:
        why = f"CertificateRequest {found.metadata.name}: {condition.type}: {condition.reason}: {condition.message}"
        if condition.type in {"Denied", "InvalidRequest"} and condition.status == "True":
            return IssuerEnded(why)
        if condition.type == "Ready" and condition.status == "False" and condition.reason in {"Failed", "Denied"}:
            return IssuerUnavailable(why)
    return None


def words(found: CertificateRequest) -> str:
    """What is said of one that is under way."""
    return "; ".join(f"{each.reason}: {each.message}" for each in found.status.conditions if each.type == "Ready")


def is_stale(found: CertificateRequest, now: datetime) -> bool:
    """Whether whoever asked has long gone."""
    made = found.metadata.creation_timestamp
    return made is not None and now - made > STALE


@asynccontextmanager
async def opened(
    cluster: Cluster, namespace: str, issuer: IssuerRef, *, trust_domain: str, timeout_s: float
) -> AsyncIterator[CertManager]:
    """Follows its requests while the context is open."""
    manager = CertManager(cluster, namespace, issuer, trust_domain=trust_domain, timeout_s=timeout_s)
    async with background_tasks(manager.follow()):
        yield manager
