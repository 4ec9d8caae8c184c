"""The server that the other tests stand on."""

import json

from osm.testing.kubernetes import ApiServer


def test_the_api_server_says_its_version(server: ApiServer) -> None:
    assert json.loads(server.request("/version"))["gitVersion"] == "v1.35.4"


def test_what_is_written_can_be_read(server: ApiServer) -> None:
    server.request("/api/v1/namespaces", {"metadata": {"name": "written"}})
    assert json.loads(server.request("/api/v1/namespaces/written"))["metadata"]["name"] == "written"


def test_etcd_can_be_compacted(server: ApiServer) -> None:
    server.compact()
    assert json.loads(server.request("/api/v1/namespaces/default"))["kind"] == "Namespace"
