"""The pictures that `osm status --watch` draws."""

from osm.bus.memory import MemoryCore
from osm.cli.status_watch import pictures
from osm.contracts.channels import PROXY_STATUS
from osm.contracts.names import Identity
from osm.contracts.status import ProxyStatus


def line(proxy_id: str) -> ProxyStatus:
    return ProxyStatus(proxy_id=proxy_id, identity=Identity("shop", "store"), replica="x-0", connected_at_s=1.0)


async def test_each_picture_is_whole_and_sorted_and_forgets_what_is_gone() -> None:
    core = MemoryCore()
    status = core.bus("xds").status()
    await status.put(PROXY_STATUS.key("store-1.shop"), line("store-1.shop"))
    seen = pictures(core.bus("cli"))
    told = [[document.value for document in await anext(seen)]]
    await status.put(PROXY_STATUS.key("store-0.shop"), line("store-0.shop"))
    told.append([document.value for document in await anext(seen)])
    await status.delete(PROXY_STATUS.key("store-1.shop"))
    told.append([document.value for document in await anext(seen)])
    assert told == [[line("store-1.shop")], [line("store-0.shop"), line("store-1.shop")], [line("store-0.shop")]]
    await seen.aclose()  # type: ignore[attr-defined]  # an async generator, typed as what its readers need
