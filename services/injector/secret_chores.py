"""Decides what to do about the Secrets of sidecars, given the pods there are: state in, chores out. Pure.

    make     a pod has a sidecar and no Secret: kubelet waits with its containers until there is one
    renew    two thirds of the certificate's life are over
    trust    the mesh's roots are others than the Secret's
    own      nobody owns it, so nothing would take it away with its pod (a Secret restored from a backup)
    collect  its pod is gone, or never came

Whoever admitted a pod makes its Secret at once; the holder of the Lease does everything else, and makes what is still
missing after a moment: a Secret that was deleted, a pod whose injector ended. The first pod to own a Secret has it: a
pod that claims another's id gets nothing.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from osm.pki.renewal import renew_at
from services.injector.proxies import Proxy, SecretKey
from services.injector.secret import Kept

OTHERS_FIRST_S = 2.0
"""How long the holder of the Lease leaves a new pod to the injector that admitted it."""

GRACE_S = 600.0
"""A Secret younger than this is not collected: its pod may be on its way, or our picture of pods behind."""

Verb = Literal["make", "renew", "trust", "own", "collect"]


class Chore(Struct, frozen=True, kw_only=True):
    """One thing to do about one Secret, not before `due_s`. `proxy` is None if there is nobody to do it for."""

    verb: Verb
    key: SecretKey
    due_s: float
    proxy: Proxy | None = None


def chores(
    proxies: Iterable[Proxy],
    secrets: Mapping[SecretKey, Kept] | None,
    *,
    admitted: Collection[str],
    roots: str,
    now_s: float,
) -> Iterator[Chore]:
    """At most one for each Secret, now or later. `secrets` is None for who does not hold the Lease.

    `admitted`: uuids of pods that we have answered for and not yet made a Secret for. `roots`: see `roots_id`.
    """
    claims: dict[SecretKey, list[Proxy]] = {}
    for proxy in proxies:
        claims.setdefault(proxy.key, []).append(proxy)
    for key, claimants in claims.items():
        secret = secrets.get(key) if secrets is not None else None
        proxy = _rightful(claimants, secret)
        if secret is None:
            mine = proxy.uuid in admitted
            if (mine or secrets is not None) and not proxy.finished:
                due_s = proxy.seen_s if mine else proxy.seen_s + OTHERS_FIRST_S
                yield Chore(verb="make", key=key, due_s=due_s, proxy=proxy)
        elif (chore := _tended(proxy, secret, roots, now_s)) is not None:
            yield chore
    for key in sorted(secrets.keys() - claims.keys()) if secrets is not None else ():
        yield Chore(verb="collect", key=key, due_s=secrets[key].created_s + GRACE_S)  # type: ignore[index]  # not None


def _rightful(claimants: list[Proxy], secret: Kept | None) -> Proxy:
    owner = secret.owner_uid if secret is not None else ""
    return min(claimants, key=lambda proxy: (proxy.pod_uid != owner, proxy.seen_s, proxy.pod))


def _tended(proxy: Proxy, secret: Kept, roots: str, now_s: float) -> Chore | None:
    if secret.owner_uid not in ("", proxy.pod_uid):  # of a pod that is gone; its certificate may name another account
        return Chore(verb="collect", key=secret.key, due_s=now_s)
    if proxy.finished:
        return None
    if not secret.owner_uid:
        return Chore(verb="own", key=secret.key, due_s=now_s, proxy=proxy)
    if secret.roots != roots:
        return Chore(verb="trust", key=secret.key, due_s=now_s, proxy=proxy)
    due_s = renew_at(secret.not_before_s, secret.not_after_s, spread(secret.uuid))
    return Chore(verb="renew", key=secret.key, due_s=due_s, proxy=proxy)


def spread(uuid: str) -> float:
    """From 0 to 1, the same for one proxy at all times: who is asked again and again must not move the moment."""
    return int.from_bytes(hashlib.sha256(uuid.encode()).digest()[:4]) / 2**32
