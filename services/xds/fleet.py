"""The connected proxies: each one's class, what it is held for, and what it has rejected.

No I/O but its log: it listens to the engine's streams, tells the engine which class each belongs to, and keeps the
classes' resources in it.
A proxy is held, and sent nothing, until its workload document and its identity's leaf are there.
"""

import time
from collections.abc import Callable, Mapping

import structlog

from osm.ads.admission import NoRoom
from osm.ads.engine import Engine
from osm.ads.peer import Denied, Peer, StreamInfo
from osm.ads.resource import Resource
from osm.ads.types import SECRET
from osm.contracts.names import Identity
from osm.contracts.status import ProxyStatus
from services.xds.admission import Proxy, admit
from services.xds.classes import Classes, ProxyClass
from services.xds.documents import Changes, Documents
from services.xds.refusals import Refusals, refused, standing, told
from services.xds.timeline import Timeline

log = structlog.get_logger()

STREAMS_OF_A_PROXY = 8
"""It needs one; those of connections that broke are noticed late. Else one hostile proxy could take all room."""


class Member:
    """One stream of one proxy."""

    def __init__(self, proxy: Proxy, connected_at_s: float) -> None:
        self.proxy = proxy
        self.connected_at_s = connected_at_s
        self.held_for = ""
        self.refusals: Refusals = {}


class Secrets:
    """What the fleet needs of certificates: the secret of a name, if there is one yet."""

    def __init__(self) -> None:
        self.ready: dict[str, Resource] = {}

    def of(self, names: tuple[str, ...]) -> dict[str, Resource] | None:
        """All of them by name, or None while one is missing: half of a configuration is not served."""
        if any(name not in self.ready for name in names):
            return None
        return {name: self.ready[name] for name in names}


class Fleet:
    """The observer of the engine's streams. `changed` is called with a proxy's id whenever its line may differ."""

    def __init__(
        self,
        *,
        trust_domain: str,
        replica: str,
        documents: Documents,
        engine: Engine,
        wanted: Callable[[Identity], None],
        changed: Callable[[str], None],
    ) -> None:
        self._trust_domain = trust_domain
        self._replica = replica
        self._documents = documents
        self._engine = engine
        self._wanted = wanted
        self._changed = changed
        self.timeline = Timeline()
        self.secrets = Secrets()
        self._classes = Classes(trust_domain, documents)
        self._members: dict[int, Member] = {}
        self._streams: dict[str, set[int]] = {}

    # What the server asks and tells

    def authorize(self, peer: Peer | None, node_id: str) -> ProxyClass | None:
        """Raises Denied, and NoRoom."""
        if peer is None:
            raise Denied("a client certificate is needed")
        proxy = admit(peer.uris, node_id, self._trust_domain)
        limit = self._documents.mesh.max_proxies
        if limit and len(self._members) >= limit:
            raise NoRoom(f"{limit} proxies are connected, which is all that sidecar.maxDataPlaneConnections allows")
        if len(self._streams.get(proxy.id, ())) >= STREAMS_OF_A_PROXY:
            raise NoRoom(f"proxy {proxy.id} has {STREAMS_OF_A_PROXY} streams open, which is all that one may have")
        self._wanted(proxy.identity)
        proxy_class, _ = self._place(proxy)
        return proxy_class

    def connected(self, stream: StreamInfo) -> None:
        assert stream.peer is not None, "authorize has refused streams without a certificate"
        proxy = admit(stream.peer.uris, stream.node_id, self._trust_domain)
        member = Member(proxy, time.time())
        _, member.held_for = self._place(proxy)
        self._members[stream.id] = member
        self._streams.setdefault(proxy.id, set()).add(stream.id)
        self._changed(proxy.id)

    def disconnected(self, stream: StreamInfo, reason: str) -> None:
        member = self._members.pop(stream.id)
        log.info("proxy disconnected", proxy=member.proxy.id, why=reason)
        streams = self._streams[member.proxy.id]
        streams.discard(stream.id)
        if not streams:
            del self._streams[member.proxy.id]
        self._forget_unused()
        self._changed(member.proxy.id)

    def acked(self, stream: StreamInfo, type_url: str) -> None:  # noqa: ARG002  # which type does not matter
        self._changed(self._members[stream.id].proxy.id)

    def rejected(self, stream: StreamInfo, type_url: str, resources: tuple[Resource, ...], detail: str) -> None:
        if not resources:
            return
        member = self._members[stream.id]
        log.warning(
            "proxy rejected",
            proxy=member.proxy.id,
            type=type_url,
            resources=[one.name for one in resources],
            why=detail,
        )
        member.refusals = refused(member.refusals, resources, detail)
        self._changed(member.proxy.id)

    # What the documents change

    def take(self, changes: Changes, revision: int) -> None:
        """Bring every class in use up to date with the documents, which are now at `revision` of the catalog."""
        batch = self.timeline.advance(revision)
        for proxy_class, configuration in self._classes.rebuild(changes).items():
            secrets = self.secrets.of(configuration.secrets)
            if secrets is not None and self._is_given(proxy_class):
                self._engine.replace(proxy_class, {**configuration.resources, SECRET: secrets}, revision=batch)
        for proxy_class, resources in self._classes.moved(changes).items():
            if self._is_given(proxy_class):
                for resource in resources:
                    self._engine.put(proxy_class, resource, revision=batch)
        for stream_id, member in self._members.items():
            if member.proxy.id in changes.workloads:
                self._move(stream_id, member)
            self._forget_settled(member)
        self._forget_unused()
        self._engine.advance(batch)

    def put_secret(self, secret: Resource) -> None:
        """A leaf was issued or renewed, or the bundle changed: those who use it get it, those held for it go on."""
        self.secrets.ready[secret.name] = secret
        batch = self.timeline.advance(self._documents.revisions.get("catalog", 0))
        for proxy_class in self._classes:
            if secret.name in self._classes.configuration(proxy_class).secrets and self._is_given(proxy_class):
                self._engine.put(proxy_class, secret, revision=batch)
        for stream_id, member in self._members.items():
            if member.held_for:
                self._move(stream_id, member)
        self._engine.advance(batch)

    def identities(self) -> set[Identity]:
        """The identities of all connected proxies."""
        return {member.proxy.identity for member in self._members.values()}

    # What status lines say

    @property
    def size(self) -> int:
        """Streams that are connected, held ones included."""
        return len(self._members)

    def acked_revision(self) -> int:
        """The catalog revision that every connected proxy has answered in full."""
        return self.timeline.revision_of(self._engine.acked_revision())

    def behind(self, most: int) -> tuple[str, ...]:
        """Proxies that have not answered everything, the one that waits longest first, no more than `most`."""
        lagging = (self._members.get(line.stream_id) for line in self._engine.behind(most))
        return tuple(member.proxy.id for member in lagging if member is not None)

    def status_of(self, proxy_id: str) -> ProxyStatus | None:
        """The line of one proxy, its newest stream; None if it is not connected."""
        streams = self._streams.get(proxy_id)
        if not streams:
            return None
        member = self._members[max(streams)]
        rejections = told(member.refusals)
        return ProxyStatus(
            proxy_id=proxy_id,
            identity=member.proxy.identity,
            replica=self._replica,
            connected_at_s=member.connected_at_s,
            state="held"
            if member.held_for
            else "rejected"
            if rejections
            else "waiting"
            if any(map(self._engine.is_behind, streams))
            else "synced",
            rejections=rejections,
            why=member.held_for,
        )

    # Inside

    def _place(self, proxy: Proxy) -> tuple[ProxyClass | None, str]:
        """The proxy's class, its resources in the engine; or None and what is missing. Raises Denied."""
        workload = self._documents.workloads.get(proxy.id)
        if workload is None:
            return None, "no workload document yet"
        if workload.identity != proxy.identity:
            raise Denied(f"proxy {proxy.id} belongs to {workload.identity}, its certificate to {proxy.identity}")
        proxy_class = ProxyClass.of(workload)
        configuration = self._classes.configuration(proxy_class)
        secrets = self.secrets.of(configuration.secrets)
        if secrets is None:
            return None, "its certificate has not been issued yet"
        resources: Mapping[str, Mapping[str, Resource]] = {**configuration.resources, SECRET: secrets}
        self._engine.replace(proxy_class, resources, revision=self.timeline.batch)
        return proxy_class, ""

    def _move(self, stream_id: int, member: Member) -> None:
        try:
            proxy_class, member.held_for = self._place(member.proxy)
        except Denied as denied:
            proxy_class, member.held_for = None, str(denied)
        self._engine.move(stream_id, proxy_class)
        self._changed(member.proxy.id)

    def _forget_settled(self, member: Member) -> None:
        """What it refused is offered no longer."""
        if not member.refusals:
            return
        workload = self._documents.workloads.get(member.proxy.id)
        offered = self._engine.resources(ProxyClass.of(workload)) if workload is not None else {}
        before, member.refusals = member.refusals, standing(member.refusals, offered)
        if member.refusals != before:
            self._changed(member.proxy.id)

    def _is_given(self, proxy_class: ProxyClass) -> bool:
        """Whether the engine has the class: it is built before that while its proxies are held for a certificate."""
        return bool(self._engine.resources(proxy_class))

    def _forget_unused(self) -> None:
        for proxy_class in tuple(self._classes):
            if not self._engine.members(proxy_class):
                self._engine.drop(proxy_class)
                self._classes.forget(proxy_class)
