"""How long the catalog thinks: a large mesh from cold, then one change at a time.

    python -m bench.catalog

1,000 services with 5 workloads and an account each, 2,000 targets with a route group each, 100 splits,
and a gateway that may call every service.
Bounds are the design's; the exit code is 1 if one is missed. Times are the median of many changes, in one process
without a bus: what the decision costs, and what encoding its outcome adds.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

import msgspec
from msgspec import Struct

from bench.result import Thinking
from osm.bus import Document, Update
from osm.contracts.codec import encode
from osm.contracts.endpoints import (
    Backed,
    Endpoint,
    MeshIdentity,
    Service,
    ServiceEndpoints,
    ServicePort,
    Transparent,
    Workload,
)
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import (
    HttpMatch,
    HttpRouteGroup,
    HttpRule,
    Mesh,
    SplitBackend,
    TrafficSplit,
    TrafficTarget,
)
from osm.runtime.process import collect_seldom
from services.catalog.check import Endpoints, key_of, picture
from services.catalog.state import Catalog, Changes

SERVICES = 1_000
WORKLOADS_EACH = 5
TARGETS = 2_000
SPLITS = 100
NAMESPACES = 20
SOURCES_EACH = 5
ROUNDS = 200

GATEWAY = Identity("edge", "gateway")
"""One account that every target lets in: the policy that is dearest to make."""


def service_name(number: int) -> ServiceName:
    return ServiceName(f"team-{number % NAMESPACES}", f"service-{number}")


def identity(number: int) -> Identity:
    return Identity(service_name(number).namespace, f"account-{number}")


def service(number: int, workloads: int = WORKLOADS_EACH) -> ServiceEndpoints:
    return ServiceEndpoints(
        service=Service(
            name=service_name(number),
            ports=(ServicePort(port=80),),
            accounts=(identity(number),),
            virtual_ips=(f"10.96.{number // 256}.{number % 256}",),
        ),
        endpoints=tuple(
            Endpoint(
                port=80,
                address=Address(f"10.{at}.{number // 256}.{number % 256}", 8080),
                identity=identity(number),
            )
            for at in range(workloads)
        ),
    )


def group(number: int, method: str = "GET") -> HttpRouteGroup:
    return HttpRouteGroup(
        namespace=service_name(number % SERVICES).namespace,
        name=f"routes-{number}",
        matches=tuple(
            HttpMatch(name=name, path_regex=f"/{name}/{number}", methods=(method,)) for name in ("buy", "sell")
        ),
    )


def caller(number: int, at: int) -> Identity:
    return identity((number * 7 + number // SERVICES * 501 + 13 * at + 1) % SERVICES)


def target(number: int, sources: int = SOURCES_EACH) -> TrafficTarget:
    destination = identity(number % SERVICES)
    return TrafficTarget(
        namespace=destination.namespace,
        name=f"target-{number}",
        destination=destination,
        sources=(GATEWAY, *sorted({caller(number, at) for at in range(sources)})),
        rules=(HttpRule(route_group=f"routes-{number}"),),
    )


def split(number: int) -> TrafficSplit:
    # Services whose numbers differ by NAMESPACES share a namespace, as a root and its backends must.
    return TrafficSplit(
        namespace=service_name(number).namespace,
        name=f"split-{number}",
        service=service_name(number).name,
        backends=tuple(SplitBackend(service=service_name(number + NAMESPACES * at).name, weight=50) for at in (10, 11)),
    )


def policies() -> Iterator[AnyPolicy]:
    yield Mesh(permissive=False)
    for number in range(TARGETS):
        yield target(number)
        yield group(number)
    yield from map(split, range(SPLITS))


def endpoints() -> Iterator[Endpoints]:
    yield MeshIdentity(identity=GATEWAY)
    for number in range(SERVICES):
        yield service(number)
        yield MeshIdentity(identity=identity(number))
        for at in range(WORKLOADS_EACH):
            yield Workload(
                proxy_id=f"service-{number}-{at}.{identity(number).namespace}",
                identity=identity(number),
                backs=(Backed(service=service_name(number), port=80, target_port=8080),),
                interception=Transparent(),
            )


def change(bucket: str, value: AnyPolicy | Endpoints, *, deleted: bool = False) -> Update:
    said = Document(bucket=bucket, key=key_of(value), value=None if deleted else value, revision=1, deleted=deleted)
    return Update(bucket=bucket, full=False, documents=(said,), revision=1)


class Row(Struct, frozen=True, kw_only=True):
    what: str
    ms: float
    worst_ms: float
    bound_ms: float
    documents: str
    expected: str = ""

    @property
    def good(self) -> bool:
        return self.ms <= self.bound_ms and self.documents == (self.expected or self.documents)


def timed(work: Callable[[], Changes]) -> tuple[float, Changes]:
    """Milliseconds to decide and to encode what is written."""
    began = time.perf_counter()
    changes = work()
    for document in changes.puts.values():
        encode(document)
    return (time.perf_counter() - began) * 1_000, changes


def kinds(changes: Changes) -> str:
    """How many documents of each kind were written or deleted."""
    counts: dict[str, int] = {}
    for key in (*changes.puts, *changes.deletes):
        counts[key.partition(".")[0]] = counts.get(key.partition(".")[0], 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"


def repeated(what: str, catalog: Catalog, updates: Iterator[Update], *, bound_ms: float, expected: str = "") -> Row:
    times, told = [], set()
    for one in updates:
        took, changes = timed(lambda one=one: catalog.apply(one))  # type: ignore[misc]  # bound now, not later
        times.append(took)
        told.add(kinds(changes))
    documents = told.pop() if len(told) == 1 else f"{len(told)} outcomes, {min(told)} … {max(told)}"
    return Row(
        what=what, ms=median(times), worst_ms=max(times), bound_ms=bound_ms, documents=documents, expected=expected
    )


def cold() -> tuple[Catalog, Row]:
    told = [picture("meshspec", policies()), picture("endpoints", endpoints())]
    gc.collect()
    catalog = Catalog()
    took, changes = timed(lambda: catalog.apply(*told))
    return catalog, Row(what="from cold", ms=took, worst_ms=took, bound_ms=3_000, documents=kinds(changes))


def warm(catalog: Catalog) -> Iterator[Row]:
    rounds = range(ROUNDS)

    def policy(document: Callable[[int], AnyPolicy]) -> Iterator[Update]:
        return (change("meshspec", document(number)) for number in rounds)

    yield repeated(
        "one endpoint moves",
        catalog,
        (change("endpoints", service(number, 4)) for number in rounds),
        bound_ms=20,
        expected="1 service",
    )
    yield repeated("a match changes", catalog, policy(lambda n: group(n, "POST")), bound_ms=20, expected="1 policy")
    yield repeated("a target gains a source", catalog, policy(lambda n: target(n, SOURCES_EACH + 1)), bound_ms=20)
    yield repeated(
        "a split changes its weights",
        catalog,
        policy(lambda n: msgspec.structs.replace(split(n % SPLITS), backends=weights(n))),
        bound_ms=20,
        expected="1 service",
    )
    yield repeated(
        "an edit that changes nothing",
        catalog,
        policy(lambda n: target(n, SOURCES_EACH + 1)),
        bound_ms=20,
        expected="none",
    )
    yield repeated(
        "a route group vanishes", catalog, (change("meshspec", group(n), deleted=True) for n in rounds), bound_ms=20
    )
    yield repeated("it comes back", catalog, policy(lambda n: group(n, "POST")), bound_ms=20)
    yield repeated(
        "the only way to a service goes",
        catalog,
        (change("meshspec", target(n + at), deleted=True) for n in rounds for at in (0, SERVICES)),
        bound_ms=20,
    )


def weights(number: int) -> tuple[SplitBackend, ...]:
    first, second = split(number % SPLITS).backends
    return (msgspec.structs.replace(first, weight=100 + number), second)


def rows() -> list[Row]:
    collect_seldom()  # as the service does: a pass of the collector takes as long as fifty changes
    catalog, first = cold()
    return [first, *warm(catalog)]


def thinking() -> tuple[Thinking, ...]:
    """The same, as part of a result."""
    return tuple(
        Thinking(what=row.what, median_ms=row.ms, worst_ms=row.worst_ms, bound_ms=row.bound_ms, written=row.documents)
        for row in rows()
    )


def main() -> int:
    found = rows()
    print(f"{SERVICES} services, {SERVICES * WORKLOADS_EACH} workloads, {TARGETS} targets, {SPLITS} splits")
    print(f"{'':<30}{'median ms':>10}{'worst ms':>10}{'bound ms':>10}  written")
    for row in found:
        miss = "" if row.good else "  <- missed"
        print(f"{row.what:<30}{row.ms:>10.2f}{row.worst_ms:>10.2f}{row.bound_ms:>10.0f}  {row.documents}{miss}")
    return 0 if all(row.good for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
