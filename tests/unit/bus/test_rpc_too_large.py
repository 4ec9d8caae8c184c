"""An answer that the bus cannot carry is said to be one, where the asker would wait for it in vain."""

from types import SimpleNamespace

import pytest

from osm.bus import TooLarge, nats_rpc, nats_wire
from osm.bus.memory import MemoryCore
from osm.contracts.channels import PROXY_ADMIN
from osm.contracts.codec import encode
from osm.contracts.status import AdminQuery, AdminReply

QUERY = AdminQuery(proxy_id="web-0.shop", query="config_dump")
WHY = r"local proxy-admin: the answer has \d+ bytes, allowed are 1000"


async def answer(caller: str, query: AdminQuery) -> AdminReply:
    return AdminReply(body="x" * 2000)


async def test_in_memory() -> None:
    core = MemoryCore(max_bytes=1000)
    async with core.bus("local").serve(PROXY_ADMIN, answer):
        with pytest.raises(TooLarge, match=WHY):
            await core.bus("cli").ask(PROXY_ADMIN, QUERY)


async def test_over_nats() -> None:
    said = []

    async def publish(subject: str, body: bytes, *, headers: dict[str, str]) -> None:
        said.append((subject, body, headers))

    link = SimpleNamespace(max_body_bytes=1000, client=SimpleNamespace(publish=publish))
    reply = f"{nats_wire.inbox('cli')}.1"
    message = SimpleNamespace(subject=PROXY_ADMIN.subject("cli"), reply=reply, headers={}, data=encode(QUERY))
    await nats_rpc._reply(link, PROXY_ADMIN, message, answer)
    ((subject, body, headers),) = said
    assert (subject, body) == (reply, b"")
    assert "the answer has" in headers[nats_wire.ERROR]
    assert headers[nats_wire.ERROR].endswith("allowed are 1000")
