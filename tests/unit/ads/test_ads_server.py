import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from osm.ads.types import ENDPOINT
from osm.testing.ads_client import ads_client
from osm.testing.xds_server import xds_server


def cluster(name, seconds=1):
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.seconds = seconds
    message.eds_cluster_config.eds_config.ads.SetInParent()
    return message


def endpoints(name, priority=0):
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=[{"priority": priority}])


@pytest.mark.parametrize("delta", [True, False])
async def test_a_client_receives_clusters_and_then_their_endpoints(delta):
    async with xds_server() as xds:
        xds.put(cluster("web"), endpoints("web"))
        async with ads_client(f"127.0.0.1:{xds.port}", delta=delta) as client:
            await client.version(ENDPOINT, "web")
            await xds.acked()
            before = client.pushes_received
            xds.put(endpoints("web", priority=1))
            await client.until(lambda: client.pushes_received > before)
            await xds.acked()
            assert client.messages[ENDPOINT]["web"].endpoints[0].priority == 1
            assert client.pushes_received == before + 1
