"""The Secrets of a mesh in a cluster that are made once: its root, the bus's certificates, passwords and keys.

What is there is kept; what is missing is made; what follows from others (the list of writers, a password's copy) is
brought in line. It talks to nobody: `prepare` carries out what is due. Keys and passwords come from the operating
system's randomness, all else from the arguments.
"""

import secrets
from collections.abc import Mapping

from msgspec import Struct

from osm.bus import BusError, nats_keys
from osm.bus.permissions import USERS, password_variable
from osm.pki.issuing import Profile, make_root, sign
from osm.pki.keys import BadKey, key_pem, load_key, make_key
from osm.pki.reading import BadCertificate, Certificate, chain_pem, dns_names, load_chain, not_after_s, not_before_s

DAY_S = 24 * 3600

ROOT_LIFE_S = 3650 * DAY_S
"""Of the mesh's root. OSM's: ten years."""

BUS_ROOT_LIFE_S = 3 * ROOT_LIFE_S
"""It signs nothing but the bus's own certificate, and outlives every one of those."""

BUS_LIFE_S = ROOT_LIFE_S
"""nats-server reads its certificate when it starts, so one that ends soon would end the bus."""

LEAST_SHARE_LEFT = 1 / 3
"""Of the bus's certificate: with less, it is renewed."""

BUS_ROOT, BUS_TLS, BUS_USERS = "osm-nats-ca", "osm-nats-tls", "osm-nats-users"
METRICS = "osm-metrics"

Data = Mapping[str, bytes]


class BadSecret(Exception):
    """A Secret that is there cannot be what its name says; the message says what to do."""


class Mesh(Struct, frozen=True, kw_only=True):
    """What the Secrets are for."""

    namespace: str
    trust_domain: str
    cluster_domain: str
    root_secret: str
    """Name of the Secret with the mesh's root: `ca.crt` and `private.key`, as OSM has it. Empty if it is elsewhere."""


def names(mesh: Mesh) -> tuple[str, ...]:
    """All Secrets, in the order in which they are made: what others follow from comes first."""
    roots = (mesh.root_secret,) if mesh.root_secret else ()
    return (*roots, METRICS, BUS_ROOT, BUS_TLS, BUS_USERS, *(_of_user(user) for user in USERS))


def due(found: Mapping[str, Data], mesh: Mesh, now_s: float) -> dict[str, Data]:
    """What to write: Secret → the entries that it lacks, or that have to change. Empty if all is as it should be.

    Raises BadSecret.
    """
    wanted: dict[str, Data] = {
        METRICS: {"token": secrets.token_urlsafe(32).encode(), **found.get(METRICS, {})},
        BUS_ROOT: found.get(BUS_ROOT) or _new_bus_root(now_s),
    }
    if mesh.root_secret:
        wanted[mesh.root_secret] = _root(found.get(mesh.root_secret), mesh, now_s)
    wanted[BUS_TLS] = _bus_certificate(found.get(BUS_TLS, {}), wanted[BUS_ROOT], mesh, now_s)
    wanted[BUS_USERS] = {password_variable(user): _new_password() for user in USERS} | dict(found.get(BUS_USERS, {}))
    wanted |= _users(found, wanted)
    changes = {name: _changed(found.get(name, {}), wanted[name]) for name in names(mesh)}
    return {name: entries for name, entries in changes.items() if entries}


def _changed(found: Data, wanted: Data) -> Data:
    return {key: value for key, value in wanted.items() if found.get(key) != value}


def _root(found: Data | None, mesh: Mesh, now_s: float) -> Data:
    if found is None:
        key = make_key()
        root = make_root(key, trust_domain=mesh.trust_domain, now_s=now_s, lifetime_s=ROOT_LIFE_S, serial=_serial())
        return {"ca.crt": chain_pem([root]).encode(), "private.key": key_pem(key)}
    if missing := sorted({"ca.crt", "private.key"} - found.keys()):
        raise BadSecret(
            f"Secret {mesh.namespace}/{mesh.root_secret}: has no {' and no '.join(missing)}; put the root certificate "
            "(PEM) and its key there, or delete the Secret to have both made"
        )
    return found


def _new_bus_root(now_s: float) -> Data:
    key = make_key()
    root = make_root(key, trust_domain="nats", now_s=now_s, lifetime_s=BUS_ROOT_LIFE_S, serial=_serial())
    return {"tls.crt": chain_pem([root]).encode(), "tls.key": key_pem(key)}


def _bus_certificate(found: Data, root_secret: Data, mesh: Mesh, now_s: float) -> Data:
    """The one that is there, if it is of this root, names the bus as it is called now, and has time left."""
    try:
        root, root_key = load_chain(root_secret["tls.crt"])[0], load_key(root_secret["tls.key"])
        current = load_chain(found["tls.crt"])[0] if {"tls.crt", "tls.key"} <= found.keys() else None
    except (KeyError, BadCertificate, BadKey) as error:
        what = f"Secrets {mesh.namespace}/{BUS_ROOT} and {BUS_TLS}: not a certificate and its key in PEM"
        raise BadSecret(f"{what}; delete both to have them made") from error
    profile = bus_profile(mesh)
    if current is not None and found.get("ca.crt") == root_secret["tls.crt"] and _serves(current, profile, now_s):
        return found
    key = make_key()
    certificate = sign(
        profile,
        key.public_key(),
        issuer=root,
        issuer_key=root_key,
        now_s=now_s,
        lifetime_s=BUS_LIFE_S,
        serial=_serial(),
    )
    return {
        "ca.crt": root_secret["tls.crt"],
        "tls.crt": chain_pem([certificate]).encode(),
        "tls.key": key_pem(key),
    }


def bus_profile(mesh: Mesh) -> Profile:
    """The names by which pods, servers of a cluster (each also a client of the others) and `osm` find the bus.

    `osm` comes through a port that kubectl forwards, so to 127.0.0.1.
    """
    service = f"osm-nats.{mesh.namespace}.svc"
    servers = f"*.osm-nats-headless.{mesh.namespace}.svc.{mesh.cluster_domain}"
    return Profile(
        uri="spiffe://nats/server",
        dns_names=("osm-nats", f"osm-nats.{mesh.namespace}", service, f"{service}.{mesh.cluster_domain}", servers),
        addresses=("127.0.0.1",),
        client=True,
        server=True,
    )


def _serves(current: Certificate, profile: Profile, now_s: float) -> bool:
    least_s = (not_after_s(current) - not_before_s(current)) * LEAST_SHARE_LEFT
    return not_after_s(current) - now_s >= least_s and set(profile.dns_names) <= set(dns_names(current))


def _users(found: Mapping[str, Data], wanted: Mapping[str, Data]) -> dict[str, Data]:
    """A Secret for each user: password, roots, the list of writers, and its own key if it owns a bucket."""
    keys = {user: found.get(_of_user(user), {}).get("signing.key") or nats_keys.make_key() for user in nats_keys.OWNERS}
    try:
        public = {user: (nats_keys.public_half(pem, f"Secret {_of_user(user)}"),) for user, pem in keys.items()}
    except BusError as error:
        raise BadSecret(f"{error}; delete the Secret to have it made") from error
    shared = {"ca.crt": wanted[BUS_ROOT]["tls.crt"], "writers.json": nats_keys.list_writers(public)}
    return {
        _of_user(user): {
            **shared,
            "password": wanted[BUS_USERS][password_variable(user)],
            **({"signing.key": keys[user]} if user in keys else {}),
        }
        for user in USERS
    }


def _of_user(user: str) -> str:
    return f"osm-nats-{user}"


def _new_password() -> bytes:
    """It begins with a letter, since nats-server takes an unquoted value of digits for a number."""
    return f"p{secrets.token_hex(16)}".encode()


def _serial() -> int:
    return secrets.randbits(120) | 1
