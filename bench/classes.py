"""What it takes to make the configuration of a class of proxies: of the first, and of each further one.

    python -m bench.classes

Every identity may call every service, and is a class of its own. No bus, no stream: what translating and encoding cost.
Times are of the CPU.
"""

import gc
import time
from collections.abc import Mapping

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.mesh import rss_bytes
from bench.rounds import KB
from bench.world import World
from osm.bus import Document, Update
from osm.contracts.policy import Mesh
from services.catalog.state import Catalog
from services.xds.classes import Classes, ProxyClass
from services.xds.documents import Documents

TRUST_DOMAIN = "cluster.local"
WORLDS = (
    World(streams=50, services=100, identities=50),
    World(streams=50, services=1_000, identities=50),
)


class Made(Struct, frozen=True, kw_only=True):
    """`further`: of each class but the first, on average."""

    services: int
    classes: int
    first_ms: float
    further_ms: float
    further_bytes: float


def made(world: World) -> Made:
    """Make them all."""
    documents = _documents(world)
    classes = Classes(TRUST_DOMAIN, documents)
    first, *further = {ProxyClass.of(each): None for each in documents.workloads.values()}
    gc.collect()
    began_s = time.process_time()
    classes.configuration(first)
    first_s, rss = time.process_time() - began_s, rss_bytes()
    for each in further:
        classes.configuration(each)
    further_s = time.process_time() - began_s - first_s
    return Made(
        services=world.services,
        classes=1 + len(further),
        first_ms=first_s * 1_000,
        further_ms=further_s * 1_000 / len(further),
        further_bytes=(rss_bytes() - rss) / len(further),
    )


def _documents(world: World) -> Documents:
    catalog, documents = Catalog(), Documents()
    said = catalog.apply(_full("meshspec", world.policies()), _full("endpoints", world.endpoints()))
    documents.apply(_full("catalog", said.puts))
    documents.mesh = Mesh(permissive=True)
    return documents


def _full(bucket: str, values: Mapping[str, Struct]) -> Update:
    documents = tuple(Document(bucket=bucket, key=key, value=value, revision=1) for key, value in values.items())
    return Update(bucket=bucket, full=True, revision=1, documents=documents)


def main() -> None:
    table = Table(title="Classes of proxies in a permissive mesh")
    for head in ("services", "classes", "the first, ms", "each further, ms", "each further, KB"):
        table.add_column(head, justify="right")
    for world in WORLDS:
        found = made(world)
        table.add_row(
            f"{found.services:,}",
            str(found.classes),
            f"{found.first_ms:.0f}",
            f"{found.further_ms:.1f}",
            f"{found.further_bytes / KB:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
