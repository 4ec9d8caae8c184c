"""What a real Envoy shows to `osm proxy get`: no private key, neither that of its leaf nor that of its bootstrap."""

import base64
import binascii
import json

import pytest

from osm.envoy import admin
from tests.envoy.xds_proxies import envoy
from tests.envoy.xds_world import world, xds

pytestmark = [pytest.mark.envoy, pytest.mark.nats, pytest.mark.timeout(300)]


def texts(value, path=()):
    """Every text in a document, and where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, (*path, key))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, path)


def forms(text):
    """As it is, and as what it may stand for: bytes are written in base64."""
    yield text.encode()
    try:
        yield base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return


async def test_no_page_of_an_envoy_shows_a_private_key(tmp_path):
    async with world(tmp_path, ["envoy-0.shop"]) as mesh, xds(mesh, "a"), envoy(mesh, "envoy-0.shop") as folder:
        await mesh.settled("a", proxies=1)
        for query in admin.PATHS:
            reply = await admin.read(folder / "admin.sock", query)
            assert not reply.why
            assert "PRIVATE KEY" not in reply.body
            if reply.content_type == "application/json":
                for path, text in texts(json.loads(reply.body)):
                    assert not any(b"PRIVATE KEY" in form for form in forms(text)), path
        dump = json.loads((await admin.read(folder / "admin.sock", "config_dump")).body)
        keys = [text for path, text in texts(dump) if "private_key" in path]
        assert len(keys) >= 2, "that of the leaf and that of the bootstrap are there, and are hidden"
