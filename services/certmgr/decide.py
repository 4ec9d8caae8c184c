"""Whether a request is signed, and what the certificate will say: the rules of identity, and nothing else.

The request names a subject; what is written into the certificate follows from that and from the trust domain,
never from the CSR, which only proves who holds the key. If it asks for names, they are the same ones, since an issuer
elsewhere may go by them. Pure: what is in the mesh is a parameter.
"""

import re
from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import Struct

from osm.contracts.names import INJECTOR_IDENTITY, ROOT_NAMESPACE, XDS_IDENTITY, Identity, SpiffeId
from osm.contracts.trust import ControlPlane, Gateway, MeshLeaf, ProxyClient, Refused, SignRequest
from osm.pki.content import Content, asked_for
from osm.pki.issuing import Profile, profile_of
from osm.pki.keys import BadRequest, Csr, read_csr
from osm.pki.reading import BadCertificate

Identified = MeshLeaf | ProxyClient | ControlPlane
Subject = Identified | Gateway
Kind = Literal["leaf", "proxy", "control", "gateway"]
Reason = Literal[
    "caller", "reserved", "unknown-identity", "name", "lifetime", "csr", "issuer", "wrong-answer", "untrusted-root"
]

MAY_ASK: Mapping[str, frozenset[Kind]] = {
    "xds": frozenset({"leaf", "control"}),
    "injector": frozenset({"proxy", "control", "gateway"}),
    "local": frozenset({"proxy"}),
}
"""Who may ask for what: xds holds the keys between workloads, the platform's agent makes those of proxies."""

OWN_IDENTITY: Mapping[str, Identity] = {"xds": XDS_IDENTITY, "injector": INJECTOR_IDENTITY}
"""A service may ask to be itself, and nobody else of the control plane."""

RESERVED_ACCOUNTS = "osm-"
"""In the control plane's namespace, accounts with this prefix are ours: no workload may be one."""

MOST_OF_A_NAME = 253
"""Characters; DNS knows no longer ones."""

MOST_NAMES = 20
"""Of a gateway: more than any has, and a certificate that still fits into one record of TLS."""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUFFIX = r"(\.svc(\.cluster\.local)?)?"


class Rules(Struct, frozen=True, kw_only=True):
    """What certmgr was told: lifetimes in seconds; `floor_s` is the least that is ever granted.

    `namespace` is where the control plane's own services are reached.
    """

    trust_domain: str
    lifetimes_s: Mapping[Kind, int]
    floor_s: int
    namespace: str = ROOT_NAMESPACE


class Order(Struct, frozen=True, kw_only=True):
    """A certificate that may be signed, as it will be."""

    kind: Kind
    csr: Csr
    profile: Profile
    lifetime_s: int


class Refusal(Struct, frozen=True, kw_only=True):
    """Why not: `reason` for counting, `why` for whoever asked."""

    reason: Reason
    why: str
    retry: bool = False

    def reply(self) -> Refused:
        return Refused(why=self.why, retry=self.retry)


def decide(caller: str, request: SignRequest, *, identities: Collection[Identity], rules: Rules) -> Order | Refusal:
    """The whole rule: may this caller have this certificate now? The first objection is the answer."""
    kind = kind_of(request.subject)
    profile = profile_of(request.subject, rules.trust_domain)
    refusal = _kind(caller, kind) or _subject(caller, request.subject, profile, identities, rules)
    if refusal is not None:
        return refusal
    if request.lifetime_s is not None and request.lifetime_s <= 0:
        return Refusal(reason="lifetime", why=f"lifetime_s: found {request.lifetime_s}, allowed are positive seconds")
    try:
        csr = read_csr(request.csr_pem)
        _require_fit(asked_for(csr), profile)
    except (BadRequest, BadCertificate) as error:
        return Refusal(reason="csr", why=str(error))
    return Order(kind=kind, csr=csr, profile=profile, lifetime_s=_lifetime_s(request.lifetime_s, kind, rules))


def kind_of(subject: Subject) -> Kind:
    match subject:
        case MeshLeaf():
            return "leaf"
        case ProxyClient():
            return "proxy"
        case ControlPlane():
            return "control"
        case Gateway():
            return "gateway"


def spelt(subject: Subject) -> str:
    """For a log line."""
    return str(subject if isinstance(subject, Gateway) else subject.identity)


def is_reserved(identity: Identity) -> bool:
    """Whether it is the control plane's own."""
    return identity.namespace == ROOT_NAMESPACE and identity.account.startswith(RESERVED_ACCOUNTS)


def _kind(caller: str, kind: Kind) -> Refusal | None:
    allowed = MAY_ASK.get(caller, frozenset())
    if kind not in allowed:
        kinds = " and ".join(sorted(allowed)) or "nothing"
        return Refusal(reason="caller", why=f"{caller} asked for a {kind} certificate, allowed for it is {kinds}")
    return None


def _subject(
    caller: str, subject: Subject, profile: Profile, identities: Collection[Identity], rules: Rules
) -> Refusal | None:
    if isinstance(subject, Gateway):
        return _gateway(subject, identities, rules)
    return (
        _caller(caller, kind_of(subject), subject) or _presence(subject, identities) or _names(subject, profile, rules)
    )


def _gateway(subject: Gateway, identities: Collection[Identity], rules: Rules) -> Refusal | None:
    """Its names are what IngressBackends admit it by: none that a workload's certificate has, or one of ours."""
    if not 1 <= len(subject.dns_names) <= MOST_NAMES:
        return Refusal(reason="name", why=f"dns_names: found {len(subject.dns_names)}, allowed are 1 to {MOST_NAMES}")
    taken = {identity.dns(rules.trust_domain): identity for identity in identities}
    for name in subject.dns_names:
        if len(name) > MOST_OF_A_NAME or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name):
            why = f"dns_names: found {name!r}, allowed are DNS names, without patterns"
            return Refusal(reason="name", why=why)
        if name in taken:
            why = (
                f"dns_names: {name!r} is the name of workloads of {taken[name]}, which are in the mesh; choose another"
            )
            return Refusal(reason="name", why=why, retry=True)
        if _is_ours(name, rules.namespace) or _is_reserved_name(name, rules.trust_domain):
            return Refusal(reason="reserved", why=f"dns_names: {name!r} is a name of the control plane; choose another")
    return None


def _is_reserved_name(name: str, trust_domain: str) -> bool:
    return name.startswith(RESERVED_ACCOUNTS) and name.endswith(f".{ROOT_NAMESPACE}.{trust_domain}")


def _caller(caller: str, kind: Kind, subject: Identified) -> Refusal | None:
    if kind == "control" and subject.identity != OWN_IDENTITY.get(caller):
        why = f"{caller} asked to be {subject.identity}, allowed for it is {OWN_IDENTITY.get(caller, 'nobody')}"
        return Refusal(reason="reserved", why=why)
    if kind != "control" and is_reserved(subject.identity):
        why = f"{subject.identity} is an identity of the control plane, which no workload may have"
        return Refusal(reason="reserved", why=why)
    return None


def _presence(subject: Identified, identities: Collection[Identity]) -> Refusal | None:
    """A control-plane service is not a workload of the mesh, so only itself vouches for it."""
    if isinstance(subject, ControlPlane) or subject.identity in identities:
        return None
    why = f"{subject.identity} is not in the mesh: no workload under this account is in a meshed namespace yet"
    return Refusal(reason="unknown-identity", why=why, retry=True)


def _names(subject: Identified, profile: Profile, rules: Rules) -> Refusal | None:
    """What will be written must read back as exactly what was meant, or somebody could be taken for another."""
    proxy_id = subject.proxy_id if isinstance(subject, ProxyClient) else None
    meant = SpiffeId(trust_domain=rules.trust_domain, identity=subject.identity, proxy_id=proxy_id)
    if SpiffeId.parse(profile.uri) != meant:
        why = f"subject: found {profile.uri!r}, allowed are DNS labels for the namespace, and DNS names for the rest"
        return Refusal(reason="name", why=why)
    if isinstance(subject, ControlPlane):
        strange = [name for name in subject.dns_names if not _is_ours(name, rules.namespace)]
        if strange:
            allowed = f"localhost and services in {rules.namespace}"
            return Refusal(reason="name", why=f"dns_names: found {strange[0]!r}, allowed are {allowed}")
    return None


def _require_fit(asked: Content, profile: Profile) -> None:
    """Raises BadRequest for a request that asks for anything but the names that will be written."""
    allowed = Content(uris=profile.uris, dns_names=tuple(sorted(set(profile.dns_names))))
    if asked not in (Content(), allowed):
        found = ", ".join((*asked.uris, *asked.dns_names, *asked.others))
        names = ", ".join((*allowed.uris, *allowed.dns_names))
        raise BadRequest(f"csr_pem: found a request for {found}, allowed are no names or {names}")


def _is_ours(name: str, namespace: str) -> bool:
    """localhost, or a service (or a pod of one) in our namespace: no name that a workload's principal could have."""
    service = rf"({_LABEL}\.)?{_LABEL}\.{re.escape(namespace)}{_SUFFIX}"
    return name == "localhost" or re.fullmatch(service, name) is not None


def _lifetime_s(wanted: int | None, kind: Kind, rules: Rules) -> int:
    most = rules.lifetimes_s[kind]
    return most if wanted is None else min(max(wanted, rules.floor_s), most)
