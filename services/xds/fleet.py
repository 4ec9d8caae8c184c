"""The connected proxies: each one's class, what it is held for, and what it has rejected.

No I/O but its log: it listens to the engine's streams, says which class each belongs to, and keeps the classes'
resources up to date. What each proxy is offered of them, and when, is for `lanes`.
A proxy is held, and sent nothing, until its workload document and its identity's leaf are there.
"""

import time
from collections.abc import Callable, Iterable

import structlog

from osm.ads.admission import NoRoom
from osm.ads.canaries import Terms
from osm.ads.engine import Engine
from osm.ads.nack_culprit import is_of_the_machine
from osm.ads.peer import Denied, Peer, StreamInfo
from osm.ads.resource import Resource
from osm.contracts.names import Identity
from services.xds.admission import Proxy, admit
from services.xds.classes import Classes, ProxyClass
from services.xds.documents import Changes, Documents
from services.xds.lanes import Lane, Lanes
from services.xds.member import Member
from services.xds.overview import Overview
from services.xds.probation import Probation
from services.xds.pushes import Pushes
from services.xds.quarantine import Quarantine, Version
from services.xds.ready import Secrets
from services.xds.refusals import refused, standing
from services.xds.roster import Roster
from services.xds.timeline import Timeline
from services.xds.turned_away import TurnedAway

log = structlog.get_logger()

STREAMS_OF_A_PROXY = 8
"""It needs one; those of connections that broke are noticed late. Else one hostile proxy could take all room."""


class Fleet:
    """The observer of the engine's streams.

    `changed` is called with a proxy's id when its line may differ by more than whether it waits, and with "" when
    anything else that is reported may.
    """

    def __init__(
        self,
        *,
        trust_domain: str,
        replica: str,
        documents: Documents,
        engine: Engine,
        quarantine: Quarantine,
        terms: Terms,
        wanted: Callable[[Identity], None],
        changed: Callable[[str], None],
        probation: Probation | None = None,
    ) -> None:
        self._trust_domain = trust_domain
        self._documents = documents
        self._engine = engine
        self._wanted = wanted
        self._changed = changed
        self._quarantine = quarantine
        self.timeline = Timeline()
        self._pushes = Pushes(engine.acked_revision)
        self.secrets = Secrets()
        self._classes = Classes(trust_domain, documents)
        self.lanes = Lanes(
            engine=engine,
            classes=self._classes,
            quarantine=quarantine,
            timeline=self.timeline,
            terms=terms,
            clock=time.monotonic,
            wall=time.time,
            probation=probation,
        )
        self._probation = probation
        self._turned_away = TurnedAway()
        self._roster = Roster()
        self.overview = Overview(
            replica=replica,
            engine=engine,
            roster=self._roster,
            lanes=self.lanes,
            quarantine=quarantine,
            timeline=self.timeline,
        )

    # What the server asks and tells

    def authorize(self, peer: Peer | None, node_id: str) -> Lane | None:
        """Raises Denied, and NoRoom."""
        if peer is None:
            raise Denied("a client certificate is needed")
        proxy = admit(peer.uris, node_id, self._trust_domain)
        limit, streams = self._documents.mesh.max_proxies, self._roster.streams_of(proxy.id)
        if limit and not streams and self._roster.size >= limit:
            raise NoRoom(f"{limit} proxies are connected, which is all that sidecar.maxDataPlaneConnections allows")
        if len(streams) >= STREAMS_OF_A_PROXY:
            raise NoRoom(f"proxy {proxy.id} has {STREAMS_OF_A_PROXY} streams open, which is all that one may have")
        self._wanted(proxy.identity)
        proxy_class, _ = self._place(proxy)
        return None if proxy_class is None else self.lanes.next_lane(proxy_class)

    def turned_away(self, address: str, why: str) -> None:
        self._turned_away.note(address, why, time.monotonic())

    def connected(self, stream: StreamInfo) -> None:
        assert stream.peer is not None, "authorize has refused streams without a certificate"
        proxy = admit(stream.peer.uris, stream.node_id, self._trust_domain)
        member = Member(proxy, time.time())
        member.proxy_class, member.held_for = self._place(proxy)
        if member.proxy_class is not None:
            self.lanes.join(member.proxy_class, stream.id)
        self._roster.add(stream.id, member)
        self._changed(proxy.id)

    def disconnected(self, stream: StreamInfo, reason: str) -> None:
        member = self._roster.remove(stream.id)
        log.info("proxy disconnected", proxy=member.proxy.id, why=reason)
        if member.proxy_class is not None:
            self.lanes.leave(member.proxy_class, stream.id)
            self._forget_unused((member.proxy_class,))
        if self._probation is not None:
            self._probation.traffic.forget(stream.id)
        self._pushes.settle()
        self._changed(member.proxy.id)

    def acked(self, stream: StreamInfo, type_url: str) -> None:
        member = self._roster[stream.id]
        if member.proxy_class is not None:
            self.lanes.answered(member.proxy_class, stream.id, type_url)
        self._pushes.settle()
        self._changed("")

    def rejected(self, stream: StreamInfo, type_url: str, resources: tuple[Resource, ...], detail: str) -> None:
        if not resources:
            return
        member = self._roster[stream.id]
        log.warning(
            "proxy rejected",
            proxy=member.proxy.id,
            type=type_url,
            resources=[one.name for one in resources],
            why=detail,
        )
        member.refusals = refused(member.refusals, resources, detail)
        if member.proxy_class is not None and not is_of_the_machine(detail):
            for resource in resources:
                self.lanes.rejected(member.proxy_class, stream.id, resource, proxy_id=member.proxy.id, reason=detail)
        self._pushes.settle()
        self._changed(member.proxy.id)

    def look(self) -> None:
        """To be called several times a second: what answers do not tell, and the silence of canaries."""
        if self.lanes.look():
            self._changed("")
        self._pushes.settle()

    def quarantine_changed(self, versions: frozenset[Version]) -> None:
        """Another replica's proxies have rejected these, or a rejection has been lifted there."""
        self.lanes.reconsider({(type_url, name) for type_url, name, _ in versions})
        self._changed("")

    # What the documents change

    def take(self, changes: Changes, revision: int) -> None:
        """Bring every class in use up to date with the documents, which are now at `revision` of the catalog."""
        began_ns = time.time_ns()
        batch = self.timeline.advance(revision)
        for proxy_class, configuration in self._classes.rebuild(changes).items():
            secrets = self.secrets.of(proxy_class.identity)
            if secrets is not None and proxy_class in self.lanes:
                self.lanes.offer(proxy_class, configuration, secrets)
        for proxy_class, resources in self._classes.moved(changes).items():
            for resource in resources:
                self.lanes.put(proxy_class, resource)
        self.lanes.endpoints_moved(changes.endpoints | changes.shapes)
        for stream_id, member in self._roster:
            if member.proxy.id in changes.workloads:
                self._move(stream_id, member)
            self._forget_settled(member)
        self._forget_unused(tuple(self._classes))
        self._engine.advance(batch)
        self._pushes.begin(batch, began_ns)

    def put_leaf(self, identity: Identity, leaf: Resource) -> None:
        """It was issued or renewed: the identity's proxies get it, those held for it go on."""
        self.secrets.leaves[identity] = leaf
        self._put_secret(leaf, [each for each in self._classes if each.identity == identity])

    def put_bundle(self, bundle: Resource) -> None:
        """Whom to trust has changed: all proxies get it."""
        self.secrets.bundle = bundle
        self._put_secret(bundle, self._classes)

    def forget_leaf(self, identity: Identity) -> None:
        """Nobody here uses it any more, so it is not renewed: who needs it again waits for a new one."""
        self.secrets.leaves.pop(identity, None)

    def newest_stream(self, proxy_id: str) -> int | None:
        """None if the proxy is not connected here."""
        return max(self._roster.streams_of(proxy_id), default=None)

    def identities(self) -> set[Identity]:
        """The identities of all connected proxies."""
        return self._roster.identities()

    # Inside

    def _put_secret(self, secret: Resource, classes: Iterable[ProxyClass]) -> None:
        batch = self.timeline.advance(self._documents.revisions.get("catalog", 0))
        for proxy_class in classes:
            self.lanes.put(proxy_class, secret)
        for stream_id, member in self._roster:
            if member.held_for:
                self._move(stream_id, member)
        self._engine.advance(batch)

    def _place(self, proxy: Proxy) -> tuple[ProxyClass | None, str]:
        """The proxy's class, its resources in the engine; or None and what is missing. Raises Denied."""
        workload = self._documents.workloads.get(proxy.id)
        if workload is None:
            return None, "no workload document yet"
        if workload.identity != proxy.identity:
            raise Denied(f"proxy {proxy.id} belongs to {workload.identity}, its certificate to {proxy.identity}")
        proxy_class = self._classes.of(workload)
        configuration = self._classes.configuration(proxy_class)
        secrets = self.secrets.of(proxy_class.identity)
        if secrets is None:
            return None, "its certificate has not been issued yet"
        if proxy_class not in self.lanes:
            self.lanes.offer(proxy_class, configuration, secrets)
        return proxy_class, ""

    def _move(self, stream_id: int, member: Member) -> None:
        before = member.proxy_class
        try:
            member.proxy_class, member.held_for = self._place(member.proxy)
        except Denied as denied:
            member.proxy_class, member.held_for = None, str(denied)
        if member.proxy_class != before:
            if before is not None:
                self.lanes.leave(before, stream_id)
            lane = None if member.proxy_class is None else self.lanes.join(member.proxy_class, stream_id)
            self._engine.move(stream_id, lane)
        self._changed(member.proxy.id)

    def _forget_settled(self, member: Member) -> None:
        """What it refused is wanted no longer, whether it is still offered or another stands in for it."""
        if not member.refusals:
            return
        newest = {} if member.proxy_class is None else self._classes.configuration(member.proxy_class).resources
        before, member.refusals = member.refusals, standing(member.refusals, newest)
        if member.refusals != before:
            self._changed(member.proxy.id)

    def _forget_unused(self, among: Iterable[ProxyClass]) -> None:
        for proxy_class in among:
            if not self.lanes.has_members(proxy_class):
                self.lanes.forget(proxy_class)
                self._classes.forget(proxy_class)
