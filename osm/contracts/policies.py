"""Every kind of policy that a user can write, as one type: what `meshspec` publishes, object by object.

Apart from the kinds, since they stand in modules of their own that know nothing of one another.
"""

from osm.contracts.egress import Egress
from osm.contracts.policy import HttpRouteGroup, IngressBackend, Mesh, TcpRoute, TrafficSplit, TrafficTarget
from osm.contracts.telemetry import ExtensionService, Telemetry
from osm.contracts.traffic_settings import Retry, UpstreamTrafficSetting

AnyPolicy = (
    TrafficTarget
    | TrafficSplit
    | HttpRouteGroup
    | TcpRoute
    | IngressBackend
    | Egress
    | Mesh
    | Retry
    | Telemetry
    | ExtensionService
    | UpstreamTrafficSetting
)
