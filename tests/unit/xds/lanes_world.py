"""A class of proxies over a real engine, for tests of the lanes: what is offered, who joins, who answers."""

from osm.ads.canaries import Terms
from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine, Session
from osm.ads.push import Push
from osm.ads.resource import Resource
from osm.ads.subscription import Acked
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from osm.ads.wire import Request
from osm.contracts.endpoints import Transparent
from osm.contracts.names import Identity, ServiceName
from services.xds.classes import Classes, Configuration, ProxyClass
from services.xds.documents import Documents
from services.xds.lanes import Lanes
from services.xds.probation import Probation
from services.xds.quarantine import Quarantine
from services.xds.timeline import Timeline

CLASS = ProxyClass(Identity("shop", "web"), (), Transparent())
CDS, EDS, SDS = CLUSTER, ENDPOINT, SECRET
SERVICE = ServiceName("shop", "web")


def resource(type_url: str, name: str, version: str) -> Resource:
    return Resource(type_url=type_url, name=name, version=version, delta_head=b"", sotw_head=b"", body=b"")


class Fleet:
    """Lanes, an engine, and proxies that a test moves by hand."""

    def __init__(self, count: int = 1, share: float = 0.0, probation: Probation | None = None) -> None:
        self.now = 100.0
        self.engine, self.timeline = Engine(), Timeline()
        self.unsaved = 0
        self.documents = Documents()
        self.classes = Classes("cluster.local", self.documents)
        self.quarantine = Quarantine(self._unsaved)
        self.lanes = Lanes(
            engine=self.engine,
            classes=self.classes,
            quarantine=self.quarantine,
            timeline=self.timeline,
            terms=Terms(count=count, share=share),
            clock=lambda: self.now,
            wall=lambda: 1e9 + self.now,
            probation=probation,
        )
        self.revision = 0
        self.proxies: dict[int, Session] = {}

    def _unsaved(self) -> None:
        self.unsaved += 1

    def offer(self, **clusters: str) -> None:
        """A new revision of the catalog, in which the class has these clusters in these versions."""
        made = {name: resource(CDS, name, version) for name, version in clusters.items()}
        self.assigned = {name: resource(EDS, name, "first") for name in clusters}
        self.offer_all({CDS: made, EDS: self.assigned})

    def offer_all(self, resources: dict[str, dict[str, Resource]], **secrets: str) -> None:
        """The same of these resources, and of secrets in these versions."""
        self.revision += 10
        batch = self.timeline.advance(self.revision)
        configuration = Configuration(resources={LISTENER: {}, ROUTE: {}, **resources}, assignments={})
        self.lanes.offer(CLASS, configuration, {name: resource(SDS, name, each) for name, each in secrets.items()})
        self.engine.advance(batch)

    def move_endpoints(self, name: str, version: str) -> None:
        """As classes and fleet do it together."""
        self.timeline.advance(self.revision)
        self.assigned[name] = resource(EDS, name, version)
        self.lanes.put(CLASS, self.assigned[name])

    def join(self, **held: str) -> int:
        session = self.engine.open(DeltaSubscription, lambda: None)
        lane = self.lanes.join(CLASS, session.id)
        self.engine.move(session.id, lane)
        self.engine.receive(session, Request(type_url=CDS, initial_versions=held))
        self.proxies[session.id] = session
        return session.id

    def leave(self, proxy: int) -> None:
        self.engine.close(self.proxies.pop(proxy))
        self.lanes.leave(CLASS, proxy)

    def push(self, proxy: int) -> Push | None:
        return self.engine.next_push(self.proxies[proxy], self.now)

    def answer(self, proxy: int, push: Push, error: str | None = None) -> None:
        answer = self.engine.receive(
            self.proxies[proxy], Request(type_url=push.type_url, nonce=push.nonce, error=error)
        )
        if isinstance(answer, Acked):
            self.lanes.answered(CLASS, proxy, push.type_url)
        elif answer is not None:
            for guilty in answer.guilty:
                self.lanes.rejected(CLASS, proxy, guilty, proxy_id=f"p{proxy}", reason=answer.detail)

    def take(self, proxy: int) -> dict[str, str]:
        """Accept everything that is offered now; what that was."""
        took: dict[str, str] = {}
        while (push := self.push(proxy)) is not None:
            took |= versions(push)
            self.answer(proxy, push)
        return took

    def acked(self) -> int:
        return self.timeline.revision_of(self.engine.acked_revision())


def versions(push: Push | None) -> dict[str, str]:
    return {} if push is None else {each.name: each.version for each in push.resources}


def three_proxies() -> Fleet:
    """Three proxies that hold `a` in version 1; the first is the canary."""
    made = Fleet()
    made.offer(a="1")
    for _ in range(3):
        made.join()
    for proxy in (1, 2, 3):
        made.take(proxy)
    assert made.acked() == 10
    return made


def settled(fleet: Fleet, count: int) -> list[int]:
    """So many proxies that hold `a` in version 1."""
    fleet.offer(a="1")
    everyone = [fleet.join() for _ in range(count)]
    for _ in range(2):
        for proxy in everyone:
            fleet.take(proxy)
    return everyone
