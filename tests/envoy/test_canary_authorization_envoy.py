"""External authorization takes something back, so no canary is waited for: three real Envoys of one class."""

import json
import os
import signal
from pathlib import Path

import pytest
from msgspec import structs

from osm.contracts.channels import MESH
from osm.contracts.names import ObjectRef
from osm.contracts.policy import ExternalAuthorization, Mesh
from services.xds.translate.authorization import AUTHORIZER, FILTER
from tests.envoy.canary_world import FRIEND, SidecarEnvoy, grant, until, world

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

CONFIG = ObjectRef("MeshConfig", "osm-system", "osm-mesh-config")
ASKING = Mesh(
    permissive=False,
    egress=False,
    external_authorization=ExternalAuthorization(origin=CONFIG, address="127.0.0.1", port=9),
)
BROKEN = structs.replace(ASKING, cipher_suites=("NO-SUCH-CIPHER",), origin=CONFIG)
"""What only Envoy finds out."""


async def asks(envoy: SidecarEnvoy) -> bool:
    listeners = json.dumps(await envoy.dump("ListenersConfigDump"))
    return FILTER in listeners and AUTHORIZER in await envoy.clusters()


async def test_everybody_asks_while_the_canary_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path / "w", monkeypatch, grant("friend", FRIEND)) as mesh:
        await mesh.xds(canary_silence_s=3600.0)
        canary, *others = [await mesh.envoy(number) for number in (0, 1, 2)]
        await until("all are configured", lambda: mesh.progress().proxies == 3 and not mesh.progress().rollouts)
        os.kill(canary.pid, signal.SIGSTOP)
        try:
            await mesh.put({MESH.key(): ASKING})

            async def everyone_else_asks() -> bool:
                return all([await asks(each) for each in others])

            await until("nobody has waited", everyone_else_asks)
            assert any(canary.proxy_id in each.canaries for each in mesh.progress().rollouts), "it has not answered yet"
        finally:
            os.kill(canary.pid, signal.SIGCONT)
        await until("the canary asks, too", lambda: asks(canary))


async def test_everybody_asks_though_the_rest_of_the_change_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path / "w", monkeypatch, grant("friend", FRIEND)) as mesh:
        envoys = [await mesh.envoy(number) for number in (0, 1, 2)]
        await until("all are configured", lambda: mesh.progress().proxies == 3 and not mesh.progress().rollouts)
        await mesh.put({MESH.key(): BROKEN})
        await until("the object is told", lambda: mesh.word_on(CONFIG) is not None)

        async def everyone_asks() -> bool:
            return all([await asks(each) for each in envoys])

        await until("the listener that stands in asks", everyone_asks)
        for each in envoys:
            assert await each.granted() == {"friend"}
