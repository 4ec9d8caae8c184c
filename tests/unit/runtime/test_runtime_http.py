import os
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest

from osm.runtime.health import Health
from osm.runtime.http import serve_http
from osm.runtime.settings import BadSetting


@asynccontextmanager
async def client(where):
    connector = aiohttp.UnixConnector(where.removeprefix("unix:")) if where.startswith("unix:") else None
    base = "http://osm" if connector else f"http://{where}"
    async with aiohttp.ClientSession(base, connector=connector) as session:

        async def get(path, **headers):
            async with session.get(path, headers=headers) as response:
                return response.status, await response.text()

        yield get


def services():
    return [Health("certmgr", "r", "v", 0.0), Health("xds", "r", "v", 0.0)]


def exposition():
    return b"osm_certmgr_signed_total 1.0\n"


async def test_ready_names_every_service_that_waits_and_for_what():
    certmgr, xds = services()
    certmgr.starting("the root")
    xds.starting("its certificate")
    async with serve_http("127.0.0.1:0", [certmgr, xds], exposition) as where, client(where) as get:
        assert await get("/healthz") == (200, "alive\n")
        status, text = await get("/readyz")
        assert status == 503
        assert "certmgr: starting, waiting for the root" in text
        assert "xds: starting, waiting for its certificate" in text
        certmgr.active()
        xds.active()
        assert await get("/readyz") == (200, "ready\n")


async def test_a_standby_is_ready_since_it_does_what_it_is_there_for():
    certmgr, xds = services()
    certmgr.active()
    xds.standby("the writer's lease")
    async with serve_http("127.0.0.1:0", [certmgr, xds], exposition) as where, client(where) as get:
        assert await get("/readyz") == (200, "ready\n")


async def test_metrics_over_tcp_without_a_token_are_refused_with_what_to_set():
    async with serve_http("127.0.0.1:0", services(), exposition) as where, client(where) as get:
        status, text = await get("/metrics", Authorization="Bearer ")
        assert status == 403
        assert "OSM_METRICS_TOKEN_FILE" in text


async def test_metrics_over_tcp_ask_for_the_token_of_the_file_as_it_is_now(tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    async with (
        serve_http("127.0.0.1:0", services(), exposition, metrics_token_file=str(token)) as where,
        client(where) as get,
    ):
        assert (await get("/metrics"))[0] == 401
        assert (await get("/metrics", Authorization="Bearer wrong"))[0] == 401
        assert await get("/metrics", Authorization="Bearer first") == (200, exposition().decode())
        token.write_text("second")
        assert (await get("/metrics", Authorization="Bearer first"))[0] == 401
        assert (await get("/metrics", Authorization="Bearer second"))[0] == 200
        token.write_text("")
        assert (await get("/metrics", Authorization="Bearer "))[0] == 401
        token.unlink()
        status, text = await get("/metrics", Authorization="Bearer second")
        assert status == 503
        assert "No such file" in text


async def test_on_a_unix_socket_the_file_mode_is_the_guard(tmp_path):
    path = tmp_path / "osm.sock"
    before = os.umask(0)
    try:
        async with serve_http(f"unix:{path}", services(), exposition) as where, client(where) as get:
            assert path.stat().st_mode & 0o777 == 0o600
            assert (await get("/metrics"))[0] == 200
        assert not path.exists()
        assert os.umask(0) == 0
    finally:
        os.umask(before)


async def test_a_socket_left_by_a_crash_is_taken_over_and_a_living_one_is_not(tmp_path):
    path = tmp_path / "osm.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    async with serve_http(f"unix:{path}", services(), exposition) as where:
        with pytest.raises(BadSetting, match="another process listens there"):
            async with serve_http(f"unix:{path}", services(), exposition):
                pass
        async with client(where) as get:
            assert (await get("/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("listen", "sentence"),
    [
        ("9091", "allowed is host:port"),
        (":9091", "allowed is host:port"),
        ("127.0.0.1:http", "allowed is host:port"),
        ("127.0.0.1:70000", "allowed is host:port"),
        ("unix:relative.sock", "absolute path"),
        ("unix:/" + "x" * 200, "at most 107 bytes"),
        ("unix:/no/such/folder/osm.sock", "cannot listen"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_told(listen, sentence):
    with pytest.raises(BadSetting, match=sentence):
        async with serve_http(listen, services(), exposition):
            pass


async def test_no_address_serves_nothing():
    async with serve_http("", services(), exposition) as where:
        assert where == ""


async def test_nothing_else_is_served():
    async with serve_http("127.0.0.1:0", services(), exposition) as where, client(where) as get:
        assert (await get("/"))[0] == 404
